"""What is asked for: what a circuit is measured with, how it is searched for, and when it is small enough."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from numbers import Integral, Real
from typing import TYPE_CHECKING, TypeAlias, get_args

from acdc.errors import BadSetting
from acdc.graphs.ablation import Ablation
from acdc.graphs.constants import Constants
from acdc.methods import LEVELS, METHODS, MethodEntry, Scores, method_name, taking
from acdc.tasks.known_metrics import metric_name

if TYPE_CHECKING:
    import torch

MOST_PROMPTS = 100_000
"""More prompts than this take hours to draw, whatever the model."""
DTYPES = ("float64", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Compute:
    """On which device a model is run, and in which precision.

    `device` may be several with commas between them, which share the layers evenly, or `auto`.

    Raises: BadSetting when there is no such precision; that there is no such device is known when it is used.
    """

    device: str = "cpu"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise BadSetting(f"unknown dtype {self.dtype!r}; wanted one of {', '.join(DTYPES)}")

    @property
    def devices(self) -> tuple[str, ...]:
        """The names of the devices, the first of which holds all but the layers."""
        return tuple(name.strip() for name in self.device.split(","))

    @property
    def gpus(self) -> int:
        """How many GPUs of a cluster it takes; `auto` uses those that it is given, and is given one."""
        return sum(name.startswith(("cuda", "auto")) for name in self.devices)

    @property
    def torch_dtype(self) -> torch.dtype:
        """The precision, as torch names it."""
        import torch

        dtype = getattr(torch, self.dtype)
        assert isinstance(dtype, torch.dtype)
        return dtype


@dataclass(frozen=True)
class AbstractMeasured:
    """What is measured, by a metric's name (None: the task's own), and an `Ablation` or its value.

    Optimal ablation is its name, for constants that are yet to be learned, or these `Constants`.

    Raises: BadSetting; UnknownMetric.
    """

    metric: str | None = None
    ablation: str | Ablation | Constants = Ablation.RESAMPLE

    def __post_init__(self) -> None:
        try:
            kind = Ablation(self.ablation)
            object.__setattr__(self, "ablation", self.ablation if isinstance(self.ablation, Constants) else kind)
        except ValueError as error:
            kinds = ", ".join(kind.value for kind in Ablation)
            raise BadSetting(f"unknown ablation {self.ablation!r}; wanted one of {kinds}") from error
        if self.metric is not None:
            object.__setattr__(self, "metric", metric_name(self.metric))


@dataclass(frozen=True)
class AbstractFine(AbstractMeasured):
    """How fine the graph is that is measured: what counts as an edge of its own.

    `positions` says whether edges are by position ("slots"); `split` which MLPs are split into senders of their own:
    into neurons (`m3,m5` or `mlp:all`), or into the features in a folder; `parts_read` whether these are receivers of
    their own too, where each MLP otherwise reads as a whole.

    Raises: BadSetting when a value is none of these, or parts are to read and nothing is split; UnknownMetric.
    """

    positions: str = field(default="none", kw_only=True)
    split: str = field(default="", kw_only=True)
    parts_read: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.positions not in POSITIONS:
            raise BadSetting(f"unknown positions {self.positions!r}; wanted {' or '.join(POSITIONS)} (--positions)")
        if self.parts_read and not self.split:
            raise BadSetting(
                "parts of MLPs cannot read for themselves where no MLP is split; say which are (--split), or leave "
                "out --parts-read"
            )


POSITIONS = ("none", "slots")
"""Whether edges are by position: kept or dropped at each span of the prompts, which are the task's slots."""


@dataclass(frozen=True)
class Setup(AbstractFine):
    """The choices that a measurement depends on.

    Besides metric and ablation, `prompts` is how many prompts to discover with and as many others to judge by, `seed`
    what they are drawn with; `only_correct` leaves out those that the model gets wrong; `compute` says on what it is
    measured, and how precisely.

    Raises: BadSetting when a value is none of these; UnknownMetric.
    """

    prompts: int = 64
    seed: int = 0
    only_correct: bool = False
    compute: Compute = Compute()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prompts < 2:
            many = "1 prompt is" if self.prompts == 1 else f"{self.prompts} prompts are"
            raise BadSetting(f"{many} too few; wanted at least 2 to discover with (--prompts)")
        if self.prompts > MOST_PROMPTS:
            raise BadSetting(
                f"{self.prompts:,} prompts are too many; wanted at most {MOST_PROMPTS:,} to discover with (--prompts)"
            )
        if self.seed < 0:
            raise BadSetting(f"the seed is {self.seed}; wanted 0 or a positive number")

    def under(self, ablation: str | Ablation | None) -> Setup:
        """The same under another ablation (None: its own); under optimal ablation constants stay those that it has.

        Raises: BadSetting when there is no such ablation.
        """
        if ablation is None:
            return self
        other = replace(self, ablation=ablation)
        return self if other.ablation is Ablation.OPTIMAL and isinstance(self.ablation, Constants) else other

    def on(self, device: str | None = None, dtype: str | None = None) -> Setup:
        """The same on that device and in that precision; what is None stays as it is.

        Raises: BadSetting when there is no such precision.
        """
        return replace(self, compute=Compute(device or self.compute.device, dtype or self.compute.dtype))


SELECTIONS = ("top", "greedy")
MOST_STEPS = 10_000
OPTIONAL = ("refine", "select", "level", "steps")
"""The settings of a method that not every method looks at."""


@dataclass(frozen=True)
class Method:
    """One of `acdc.methods.METHODS` with its settings.

    `refine` sweeps the circuit until it is one-minimal; `select` is how scored edges are chosen, the highest
    anywhere ("top") or from the logits back ("greedy"); `level` is how fine a circuit gets, all edges between its nodes
    ("node"), all or none into each input of a head ("slot"), or each edge for itself ("edge"); `steps` is the number of
    points on a path of integrated gradients; `max_bytes` about how much memory a batch of trials may take.

    Raises: BadSetting when a value is none of these, or the method does not look at it.
    """

    name: str = "acdc"
    refine: bool = False
    select: str = "top"
    level: str = "edge"
    steps: int = 5
    max_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        own = method_name(self.name)
        if own is None:
            close = get_close_matches(self.name, METHODS, n=2)
            hint = f"did you mean {' or '.join(close)}?" if close else f"wanted one of {', '.join(METHODS)}"
            raise BadSetting(f"unknown method {self.name!r}; {hint}")
        object.__setattr__(self, "name", own)
        if self.select not in SELECTIONS:
            raise BadSetting(f"unknown selection {self.select!r}; wanted {' or '.join(SELECTIONS)}")
        if self.level not in LEVELS:
            raise BadSetting(f"unknown level {self.level!r}; wanted one of {', '.join(LEVELS)} (--level)")
        for setting in fields(self):
            if setting.name in OPTIONAL and getattr(self, setting.name) != setting.default:
                self.require_taken(setting.name)
        if self.refine and self.level != "edge":
            raise BadSetting(
                f"--refine drops single edges, and a circuit of level {self.level} has them together or not at all; "
                "leave out --refine, or ask for --level edge"
            )
        if not 1 <= self.steps <= MOST_STEPS:
            raise BadSetting(
                f"integrated gradients over {self.steps:,} steps cannot be taken; wanted 1 to {MOST_STEPS:,} (--steps)"
            )
        if self.max_bytes < 1 << 20:
            raise BadSetting(f"{self.max_bytes:,} bytes are too little to run anything; wanted at least 1 MiB")

    def require_taken(self, setting: str) -> None:
        """Make sure that the method looks at a setting, whatever its value.

        Raises: BadSetting.
        """
        if setting not in self.entry.takes:
            raise BadSetting(
                f"{self.name} does not look at {setting} (--{setting}), which is for {', '.join(taking(setting))}; "
                "leave it out, or give another method (--method)"
            )

    @property
    def entry(self) -> MethodEntry:
        """What there is to know of the method."""
        return METHODS[self.name]

    @property
    def scores(self) -> Scores:
        """What the scores of its edges mean."""
        return LEVELS[self.level] if "level" in self.entry.takes else self.entry.scores


@dataclass(frozen=True)
class Threshold:
    """One pruning run in which a removal may cost less than `value`, in the metric's units."""

    value: float

    def __post_init__(self) -> None:
        if not 0 < self.value < math.inf:
            raise BadSetting(f"the threshold is {self.value}; wanted a positive number in the metric's units")


PARTS_TRIED = 1, 0.85, 0.7, 0.6, 0.5
"""Of the number of edges asked for: the sizes at which circuits of scored edges are tried."""


@dataclass(frozen=True)
class Edges:
    """The most faithful circuit, on the discovery prompts, of at most `count` edges."""

    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise BadSetting(f"a circuit of {self.count} edges does nothing; wanted at least 1")


@dataclass(frozen=True)
class KeptFaithfulness:
    """The smallest circuit that keeps this fraction of the behaviour on the discovery prompts."""

    fraction: float = 0.9

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise BadSetting(f"the faithfulness to keep is {self.fraction}; wanted a fraction above 0 and at most 1")

    def __str__(self) -> str:
        return f"keeps {self.fraction:.0%} of the behaviour (--faithfulness)"


@dataclass(frozen=True)
class MeanKL:
    """The smallest circuit whose KL divergence from the model is at most `nats`, in the mean over discovery prompts."""

    nats: float

    def __post_init__(self) -> None:
        if not 0 < self.nats < math.inf:
            raise BadSetting(f"the KL divergence to allow is {self.nats}; wanted a positive number of nats")

    def __str__(self) -> str:
        return f"is within a KL of {self.nats:g} nats of the model (--kl)"


@dataclass(frozen=True)
class KeptAccuracy:
    """The smallest circuit that is right at least this fraction as often as the model, on the discovery prompts."""

    fraction: float = 0.95

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise BadSetting(f"the accuracy to keep is {self.fraction}; wanted a fraction above 0 and at most 1")

    def __str__(self) -> str:
        return f"keeps {self.fraction:.0%} of the model's accuracy (--accuracy)"


@dataclass(frozen=True)
class Minutes:
    """The circuit at the knee of the curve of sizes that so many minutes allow.

    Where a circuit of `few` edges at most keeps the `fraction` of the behaviour, the smallest such.
    """

    minutes: float = 10.0
    fraction: float = 0.9
    few: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.minutes < math.inf:
            raise BadSetting(f"the minutes to search are {self.minutes}; wanted a positive number")
        KeptFaithfulness(self.fraction)
        Edges(self.few)


Level: TypeAlias = KeptFaithfulness | MeanKL | KeptAccuracy
"""A goal that a circuit reaches by what it keeps, whatever its size."""
UntimedGoal: TypeAlias = Threshold | Edges | Level
Goal: TypeAlias = UntimedGoal | Minutes
GOALS: dict[str, type[Goal]] = {kind.__name__: kind for kind in get_args(Goal)}
"""Every kind of goal by its name, as circuit files write it."""


def as_goal(asked: object) -> Goal:
    """The goal itself, or what a bare number means: a fraction from 0 to 1 is kept, a whole number above 1 is of edges.

    Raises: BadSetting for anything else.
    """
    match asked:
        case Threshold() | Edges() | Minutes() | KeptFaithfulness() | MeanKL() | KeptAccuracy():
            return asked
        case bool():
            pass
        case Integral() if int(asked) >= 2:
            return Edges(int(asked))
        case Real() if not isinstance(asked, Integral) and 0 < float(asked) <= 1:
            return KeptFaithfulness(float(asked))
    raise BadSetting(
        f"the goal is {asked!r}; wanted a fraction of the behaviour to keep such as 0.9, a number of edges from 2 on, "
        "or one of Threshold(0.1), Edges(50), KeptFaithfulness(0.9), MeanKL(0.1), KeptAccuracy(0.95) and Minutes(10) "
        "from acdc"
    )
