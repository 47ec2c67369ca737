"""The form of a hypothesis file: what may stand in it, as pydantic checks it and its JSON Schema tells editors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from acdc.explain.role_names import NAMES
from acdc.graphs.ablation import ABLATIONS
from acdc.graphs.roles import UNLABELLED
from acdc.settings import DTYPES
from acdc.tasks.files.forms import AbstractForm, MetricName, Name, wrong


def _own_ablation(name: object) -> object:
    """An ablation's own name, where one of its other names stands."""
    return next((kind.value for kind, entry in ABLATIONS.items() if name in entry.aliases), name)


if TYPE_CHECKING:
    AblationName: TypeAlias = str
    Dtype: TypeAlias = str
    RoleName: TypeAlias = str
else:  # all there are, so that editors complete them
    AblationName = Annotated[Literal[tuple(kind.value for kind in ABLATIONS)], BeforeValidator(_own_ablation)]
    Dtype = Literal[DTYPES]
    RoleName = Literal[NAMES + (UNLABELLED,)]  # noqa: RUF005  # Python 3.10 unpacks nothing here
Number = Annotated[float, Field(allow_inf_nan=False)]


def _by_task(value: object) -> object:
    if isinstance(value, dict):
        return value
    raise wrong("'claims.specificity' is wrong", "a mapping", "write for each task its bound, as `induction: {...}`")


def _by_head(value: object) -> object:
    if isinstance(value, dict):
        return value
    raise wrong("'claims.roles' is wrong", "a mapping", "write for each head its role, as `a1.h0: induction`")


def _path_or_names(value: object) -> object:
    if isinstance(value, (str, list)):
        return value
    raise wrong("{key} is wrong", "a path or a list of edges and nodes", "write it in quotes")


_ONE_BOUND: dict[str, Any] = {
    "oneOf": [
        {"required": ["tolerance"], "not": {"anyOf": [{"required": ["at_least"]}, {"required": ["at_most"]}]}},
        {"anyOf": [{"required": ["at_least"]}, {"required": ["at_most"]}], "not": {"required": ["tolerance"]}},
    ]
}


class BoundForm(AbstractForm):
    """What a measured value must be: within bounds, or near the recorded baseline."""

    model_config = ConfigDict(json_schema_extra=_ONE_BOUND)

    at_least: Number | None = None
    """The least that the value may be."""
    at_most: Number | None = None
    """The most that the value may be."""
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """How far the value may be from the recorded baseline, on either side. `acdc test --update` records it."""

    @model_validator(mode="after")
    def _one_bound(self) -> BoundForm:
        bounds = [bound for bound in (self.at_least, self.at_most) if bound is not None]
        if bool(bounds) == (self.tolerance is not None):
            raise PydanticCustomError(
                "bound",
                "{what}",
                {
                    "what": "this claim has two kinds of bound" if bounds else "this claim has no bound",
                    "wanted": "at_least, at_most or both of them, or else a tolerance",
                    "remedy": "remove the tolerance or the bounds" if bounds else "add one, such as `at_least: 0.9`",
                },
            )
        if len(bounds) == 2 and bounds[0] > bounds[1]:
            raise PydanticCustomError(
                "bound",
                "{what}",
                {
                    "what": "no value can be within these bounds",
                    "wanted": "an at_least that is no more than at_most",
                    "remedy": "exchange them",
                },
            )
        return self


class EdgesForm(BoundForm):
    """How like another circuit this one must be: the Jaccard index of their edges, 1 where they are the same."""

    against: Name | None = None
    """The other's circuit.json, from the folder of this file; left out: the edges that were recorded."""


class OtherTaskForm(BoundForm):
    """How little of another task the circuit may keep."""

    metric: MetricName | None = None
    """What is measured [the other task's]."""


class CounterexampleForm(AbstractForm):
    """A prompt pair on which a circuit has failed, in the words of a behaviour file."""

    clean: Name
    """Calls for the behaviour."""
    corrupt: Name
    """As long in tokens, but what the answer depends on has been changed."""
    answer: Name | Annotated[list[Name], Field(min_length=1)]
    """The token that should come next, with its leading space; or a list of them."""
    distractor: Name | Annotated[list[Name], Field(min_length=1)]
    """The token that must not come next; or a list of them."""
    position: int = -1
    """Counts the prompt's tokens; the token after it is predicted [-1, the last]."""
    answers: Literal["one-token", "whole"] = "one-token"
    """How answers and distractors are measured: by their one token, or whole, by all their tokens."""


class CounterexamplesForm(BoundForm):
    """How far circuit and model may be apart on prompts that an attack has found."""

    prompts: Annotated[list[CounterexampleForm], Field(min_length=1)]
    """The prompts; `acdc pin` adds them."""


class ClaimsForm(AbstractForm):
    """What is claimed, and each time the bound."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    behaviour: BoundForm | None = None
    """The model itself does the task: the fraction of prompts whose most likely token is an answer."""
    faithfulness: BoundForm | None = None
    """What the circuit keeps of the behaviour: 1 is all, 0 as without any edge."""
    kl: BoundForm | None = None
    """How far the circuit's next-token distribution is from the model's: KL divergence in nats, 0 at best."""
    completeness: BoundForm | None = None
    """How far circuit and model are apart when parts of the circuit are gone from both: 0 at best."""
    minimality: BoundForm | None = None
    """How many edges of the circuit are useless."""
    necessity: BoundForm | None = None
    """What the model keeps of the behaviour without the circuit: 0 where the circuit is needed for all of it."""
    size: BoundForm | None = None
    """How many edges the circuit has, as `acdc show` counts them; a node that is listed is no edge, but stands for all
    edges between it and the other nodes listed, `input` and `logits`."""
    edges: EdgesForm | None = None
    """How like a baseline the circuit is."""
    specificity: Annotated[dict[Name, OtherTaskForm], Field(min_length=1), BeforeValidator(_by_task)] | None = None
    """What the circuit keeps of other tasks, each by its name or behaviour file: 0 where it does none of it."""
    roles: Annotated[dict[Name, RoleName], Field(min_length=1), BeforeValidator(_by_head)] | None = None
    """The role of heads of the circuit, as `acdc explain` says it, or `unlabelled`."""
    counterexamples: CounterexamplesForm | None = None
    """The KL divergence from the model to the circuit on the worst of these prompts, in nats: 0 at best."""

    @model_validator(mode="after")
    def _something(self) -> ClaimsForm:
        if not any(getattr(self, name) is not None for name in type(self).model_fields):
            raise PydanticCustomError(
                "nothing",
                "{what}",
                {
                    "what": "nothing is claimed",
                    "wanted": f"at least one of {', '.join(type(self).model_fields)}",
                    "remedy": "add one, such as `faithfulness: {at_least: 0.9}`",
                },
            )
        return self


class SetupForm(AbstractForm):
    """What the claims are measured with; what is left out is as the circuit's own file says, or as usual."""

    metric: MetricName | None = None
    """What is measured [the task's]."""
    ablation: AblationName | None = None
    """What edges outside the circuit carry [resample]."""
    prompts: Annotated[int, Field(ge=2)] | None = None
    """On how many prompts [64]."""
    seed: Annotated[int, Field(ge=0)] | None = None
    """What the prompts are drawn with [0]."""
    dtype: Dtype | None = None
    """In which precision [float32]."""
    only_correct: bool | None = None
    """Whether prompts that the model gets wrong are left out [false]."""


class HypothesisForm(AbstractForm):
    """A circuit hypothesis: these edges of this model do this task."""

    model_config = ConfigDict(title="acdc hypothesis file, test_*.acdc.yaml")

    about: str = ""
    """The hypothesis in a sentence."""
    task: Name
    """A task's name (`acdc tasks`), or a behaviour file's path from the folder of this file."""
    model: Name | None = None
    """A shipped model, a hub name with its revision (`owner/name@revision`), or a checkpoint's path from the folder of
    this file [the task's]."""
    circuit: Annotated[Name | Annotated[list[Name], Field(min_length=1)], BeforeValidator(_path_or_names)]
    """A circuit.json's path from the folder of this file; or a list of edges (`a9.h9->a10.*<q>`) and nodes (`a9.h9`),
    which stand for all edges between them, `input` and `logits`."""
    setup: SetupForm = SetupForm()
    """What the claims are measured with."""
    claims: ClaimsForm
    """What is claimed of the circuit."""
