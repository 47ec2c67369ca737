"""The form of what a circuit file says of its circuit's origin, and how that is read.

`acdc.request` fills it in before a search; `acdc.discovery.discover` adds how that went, `acdc.discovery.resizing` and
`acdc.robust.unseen_attack` what they made of the circuit, `acdc.judges.stability` how it varies; `acdc.graphs.circuit`
writes the file. What was measured of the circuit (faithfulness, curve, stability, robust, answer form) stands beside it
in the file; `acdc.judges.findings` reads that.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from acdc.graphs.ablation import Ablation
from acdc.graphs.constants import Constants, without_content
from acdc.graphs.errors import BadCircuitFile
from acdc.settings import GOALS, Compute, Goal, Method, Setup

if TYPE_CHECKING:
    from acdc.graphs.circuit import Circuit

MEASUREMENT = ("model", "task", "prompts", "ablation", "constants", "metric")
"""The parts of a provenance that say what a circuit is measured with."""
_PACKAGES = ("acdc-circuits", "torch", "transformer-lens", "transformers", "numpy")


class _Part(BaseModel):
    """What is said besides is kept: later versions may say more."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    def to_json(self) -> dict[str, Any]:
        """All that is said, as plain JSON data."""
        return self.model_dump(mode="json", exclude_unset=True)


class ModelOrigin(_Part):
    """The model a circuit is of: its name, its precision, and hashes of its weights and tokenizer.

    `quantisation` is how its weights had been quantised before they were dequantised, None where they never were. One
    that was made in Python and goes by no name that finds it again is `in_memory`. `split` says into what its MLPs are
    split, by features of which `dictionaries`, with the hashes of their files, and `parts_read` whether the parts read
    for themselves.
    """

    name: str
    revision: str | None = None
    weights: str | None = None
    tokenizer: str | None = None
    dtype: str = ""
    quantisation: str | None = None
    in_memory: bool = False
    split: str = ""
    dictionaries: dict[str, str] = {}  # pydantic copies it
    parts_read: bool = False

    @property
    def words(self) -> str:
        """Its name, and what else is to be known of its weights."""
        return f"{self.name} (weights dequantised from {self.quantisation})" if self.quantisation else self.name


class TaskOrigin(_Part):
    """The task a circuit was found for: its name, what it is in one sentence, where it is from, and its file if any."""

    name: str
    about: str = ""
    source: str = ""
    file: str | None = None
    in_memory: bool = False


class PromptsSide(_Part):
    """The prompts on one side of the split: how many, how many the model gets right (None: not said), their hash."""

    count: int
    right: int | None = None
    hash: str | None = None


class PromptsOrigin(_Part):
    """The prompts a circuit was found and judged on: how many were asked for at most, and the seed they are drawn with.

    `only_correct` says that prompts which the model gets wrong were left out, `positions` whether edges are by
    position; which spans there are, the graph says.
    """

    count: int | None = None
    seed: int | None = None
    only_correct: bool = False
    positions: str = "none"
    discovery: PromptsSide | None = None
    judgement: PromptsSide | None = None


class MetricOrigin(_Part):
    """The metric a circuit was found with."""

    name: str
    meaning: str = ""

    @property
    def words(self) -> str:
        """The name as people write it, such as `logit difference` or `KL`."""
        return self.name.upper() if self.name in ("kl", "nll", "l2") else self.name.replace("_", " ")


class ConstantsOrigin(_Part):
    """The learned constants that missing edges carry under optimal ablation, as `acdc.graphs.constants` writes them."""

    file: str
    hash: str
    content: str = ""


class Scored(_Part):
    """An edge and its score."""

    edge: str
    score: float


class AlgorithmOrigin(_Part):
    """The method that found a circuit, its goal and settings, and what it says of how it went.

    `score` is what the edges' scores mean. `steps_taken` and `missed` are of integrated gradients: how many points a
    path had at most, and the part of what the metric gains on the way that the gradients there do not add up to.
    `score_kind` says it in one word (`acdc.methods.ScoreKind`), and `cut_from` of which circuit another size was cut.
    `closest_decision` is how far the threshold may move before pruning decides otherwise. Of searches for a knee,
    `edges_for_fraction` is the fewest edges that were met to keep the goal's fraction, and `stopped` why the search
    ended before one did.
    """

    name: str
    goal: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] | None = None
    threshold: float | None = None
    score: str = ""
    score_kind: str | None = None
    cut_from: Mapping[str, Any] | None = None
    steps_taken: int | None = None
    missed: float | None = None
    largest: Scored | None = None
    closest_decision: float | None = None
    knee: bool = False
    edges_for_fraction: int | None = None
    stopped: str | None = None


class FeaturesOrigin(_Part):
    """The dictionary whose features are senders, and how well it fits on the discovery prompts (None: not known).

    `explained` is the part of the variance, `recovered` how much nearer to the model's predictions it keeps them than
    the mean in its place (`acdc.graphs.features.fit`); on how many `tokens` that was measured. `names` is what a user
    calls features, by number.
    """

    dictionary: str
    explained: float | None = None
    recovered: float | None = None
    active: float | None = None
    ever: int | None = None
    tokens: int | None = None
    names: dict[str, str] = {}


class Provenance(_Part):
    """What a circuit was found with; None where its file does not say.

    `features` are those that are senders, by the MLPs that they are of.
    """

    created: str | None = None
    model: ModelOrigin | None = None
    task: TaskOrigin | None = None
    prompts: PromptsOrigin | None = None
    ablation: str | None = None
    constants: ConstantsOrigin | None = None
    metric: MetricOrigin | None = None
    versions: Mapping[str, str | None] | None = None
    notes: list[str] | None = None
    features: dict[str, FeaturesOrigin] = {}  # pydantic copies it
    algorithm: AlgorithmOrigin | None = None

    @classmethod
    def of(cls, circuit: Circuit, where: str = "the circuit") -> Provenance:
        """Read what a circuit says; what it does not say, or says besides, is no mistake.

        Raises: BadCircuitFile when something it says is not of the kind it must be.
        """
        return cls.read(circuit.provenance, where)

    @classmethod
    def read(cls, data: Mapping[str, Any], where: str) -> Provenance:
        """Read what a file says, as `of` does."""
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise not_understood(error, where) from error

    def measurement(self) -> dict[str, Any]:
        """What a circuit is measured with, as far as it is said, as plain JSON data."""
        said = self.model_dump(mode="json", exclude_unset=True, include=set(MEASUREMENT))
        return without_content(said)

    @property
    def title(self) -> str:
        """Behaviour and model in a few words."""
        behaviour = self.task.name if self.task else "a behaviour its file does not name"
        return f"{behaviour} on {self.model.words}" if self.model else behaviour

    def setup(self) -> Setup:
        """The setup that a circuit was found with, on the CPU.

        Raises: BadCircuitFile when it is not said, or the constants that missing edges carry are not at hand.
        """
        metric, ablation, prompts, seed, dtype = (
            self._said(*keys)
            for keys in (
                *(("metric", "name"), ("ablation",), ("prompts", "count"), ("prompts", "seed")),
                ("model", "dtype"),
            )
        )
        only_correct = self.prompts is not None and self.prompts.only_correct
        positions = self.prompts.positions if self.prompts is not None else "none"
        if ablation == Ablation.OPTIMAL.value:
            self._said("constants", "hash")
        carried = ablation if self.constants is None else Constants.from_json(self.constants.to_json())
        try:
            fine: dict[str, Any] = {"positions": positions}
            if self.model is not None:
                fine |= {"split": self.model.split, "parts_read": self.model.parts_read}
            return Setup(metric, carried, prompts, seed, only_correct, Compute(dtype=dtype), **fine)
        except ValueError as error:
            raise _damaged(str(error)) from error

    def search(self) -> tuple[Method, Goal]:
        """The method and the goal that a circuit was found with.

        Raises: BadCircuitFile when they are not said.
        """
        goal, settings = (dict(self._said("algorithm", key)) for key in ("goal", "settings"))
        settings.pop("batch", None)  # which files have that were written when it was a setting
        try:
            return Method(**settings), GOALS[goal.pop("kind")](**goal)
        except (ValueError, TypeError, KeyError) as error:
            raise _damaged(repr(error)) from error

    def task_name(self) -> str:
        """The name that finds its task again: its behaviour file's path, or the name of a registered one.

        Raises: BadCircuitFile when it is not said, or the task was made in Python.
        """
        return (self.task.file if self.task else None) or self._lasting_name("task")

    def model_name(self) -> str:
        """The name that finds its model again.

        Raises: BadCircuitFile when it is not said, or the model was made in Python.
        """
        return self._lasting_name("model")

    def _lasting_name(self, part: str) -> str:
        name = str(self._said(part, "name"))
        if getattr(self, part).in_memory:
            raise BadCircuitFile(
                f"the circuit was found with a {part} made in Python, {name!r}, which cannot be found by its "
                f"name; give the {part} itself: {part}=... in Python, or one that can be loaded (--{part})"
            )
        return name

    def _said(self, *keys: str) -> Any:
        value: Any = self
        for key in keys:
            value = getattr(value, key)
            if value is None or value == "":
                raise BadCircuitFile(
                    f"the circuit's record lacks {'.'.join(keys)}, so it does not say what to measure it with; "
                    "give --task and --model, and in Python a Setup"
                )
        return value


def versions() -> dict[str, str | None]:
    """The versions of Python and of the packages that results depend on; None for what is not installed."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}


def installed() -> dict[str, str | None]:
    """The versions of the packages that results depend on; None for what is not installed."""
    return {name: version for name, version in versions().items() if name != "python"}


def different_versions(wanted: Mapping[str, str | None]) -> str:
    """Which of these packages are here in other versions, in words; "" where none is."""
    here = installed()
    return ", ".join(f"{name} {here[name]}, not {one}" for name, one in wanted.items() if here[name] != one)


def not_understood(error: ValidationError, where: str) -> BadCircuitFile:
    """The error for what a circuit file says, but not as it must be said."""
    first = error.errors()[0]
    index = ".".join(str(part) for part in first["loc"])
    return BadCircuitFile(
        f"what {where} says under {index!r} cannot be understood: {first['msg'].lower()}, got "
        f"{str(first['input'])[:60]!r}; discover the circuit again or remove that entry"
    )


def _damaged(how: str) -> BadCircuitFile:
    return BadCircuitFile(f"the circuit's record is damaged: {how}; discover the circuit again")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
