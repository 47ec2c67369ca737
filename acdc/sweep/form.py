"""The form of a grid file: what may stand in it, as pydantic checks it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from acdc.hypotheses.form import AblationName, Dtype, Number
from acdc.settings import MOST_PROMPTS
from acdc.tasks.files.forms import AbstractForm, MetricName, Name, wrong


def _some(value: object) -> object:
    if value == []:
        raise wrong("{key} holds nothing", "at least one", "write one")
    return value


def _list_of(kind: Any) -> Any:
    return Annotated[list[kind], Field(min_length=1), BeforeValidator(_some)]


class GoalForm(AbstractForm):
    """When a circuit is small enough: one of these."""

    edges: int | None = None
    """The most faithful circuit of at most so many edges."""
    faithfulness: Number | None = None
    """The smallest that keeps this fraction of the behaviour."""
    accuracy: Number | None = None
    """The smallest that keeps this part of the model's accuracy."""
    kl: Number | None = None
    """The smallest within this mean KL of the model, in nats."""
    threshold: Number | None = None
    """Every edge is worth so many units of the metric."""
    minutes: Number | None = None
    """The knee of what so many minutes allow, which depends on the machine."""

    @model_validator(mode="after")
    def _one(self) -> GoalForm:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            what = "a circuit can be found for one goal only" if given else "no goal is given"
            wanted = f"one of {', '.join(type(self).model_fields)}"
            remedy = "remove the others" if given else "add one, such as `goal: {faithfulness: 0.9}`"
            raise PydanticCustomError("bound", "{what}", {"what": what, "wanted": wanted, "remedy": remedy})
        return self


class GridSettingsForm(AbstractForm):
    """What every cell is measured with; what is left out is as `acdc discover` has it."""

    prompts: Annotated[int, Field(ge=2, le=MOST_PROMPTS)] | None = None
    """Prompts to find a circuit with, and as many others to judge it by [64]."""
    metric: MetricName | None = None
    """What is measured [each task's]."""
    ablation: AblationName | None = None
    """What edges outside the circuit carry [resample]."""
    only_correct: bool = False
    """Whether prompts that the model gets wrong are left out."""
    positions: Literal["none", "slots"] = "none"
    """Whether edges are kept or dropped by position, at the slots of each task."""
    goal: GoalForm | None = None
    """When a circuit is small enough [faithfulness: 0.9; minutes: 10 on a large graph]."""
    device: Name | None = None
    """cpu, cuda, mps, ... [cpu]."""
    dtype: Dtype | None = None
    """The precision of the arithmetic [float32]."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """How many CPUs a cell uses; another number may change the last digits of a result, so it is part of the grid."""


class GridAttackForm(AbstractForm):
    """How hard every circuit is attacked, as by `acdc attack`."""

    budget: int | None = None
    """Prompts that the search tests [1000]."""
    prompts: int | None = None
    """Prompts of every variation [64]."""
    parts: _list_of(Name) | None = None  # type: ignore[valid-type]
    """Only these parts [all]."""


class GridStabilityForm(AbstractForm):
    """How often every circuit is discovered again, as by `acdc stability`."""

    resamples: Annotated[int, Field(ge=0)] = 20
    """Discoveries on resampled prompts."""
    seeds: Annotated[int, Field(ge=0)] = 5
    """Discoveries with other seeds."""


class ThenForm(AbstractForm):
    """What is done with every circuit once it is found."""

    evaluate: bool = False
    """Ask everything of it, as `acdc evaluate --full` does."""
    explain: bool = False
    """Say what each node does, as `acdc explain` does; circuits are then compared by roles."""
    attack: GridAttackForm | None = None
    """Look for prompts on which it fails."""
    stability: GridStabilityForm | None = None
    """Discover it again."""
    hypotheses: _list_of(Name) | None = None  # type: ignore[valid-type]
    """Hypothesis files, from the folder of this file: those about a cell's task are tried on its model."""


class GridForm(AbstractForm):
    """A grid of runs: every task on every model, by every method, with every seed."""

    model_config = ConfigDict(title="acdc grid file")

    tasks: _list_of(Name)  # type: ignore[valid-type]
    """Tasks by their names, or behaviour files from the folder of this file."""
    models: _list_of(Name)  # type: ignore[valid-type]
    """Models by their names, checkpoints from the folder of this file, or patterns of checkpoints such as
    `checkpoints/step*`, in the order of their numbers."""
    methods: _list_of(Name) | None = None  # type: ignore[valid-type]
    """How circuits are searched for [acdc; masks on a large graph]."""
    seeds: _list_of(Annotated[int, Field(ge=0)]) = [0]  # type: ignore[valid-type]  # noqa: RUF012  # pydantic copies it
    """Seeds of the prompts."""
    settings: GridSettingsForm = GridSettingsForm()
    """What every cell is measured with."""
    then: ThenForm = ThenForm()
    """What is done with every circuit."""
