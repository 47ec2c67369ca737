"""What a circuit is measured with: metric, ablation, prompts, and the machine's side of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from acdc.errors import BadSetting
from graphs.ablation import Ablation
from tasks.known_metrics import metric_name

if TYPE_CHECKING:
    import torch

MOST_PROMPTS = 100_000
"""More prompts than this take hours to draw, whatever the model."""
DTYPES = ("float64", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Setup:
    """The choices that a measurement depends on.

    `metric` is a metric's name (None: the task's own), `ablation` an `Ablation` or its value, `prompts` how many
    prompts to discover with and as many others to judge by, `seed` what they are drawn with; `only_correct` leaves out
    those that the model gets wrong.

    Raises: BadSetting when a value is none of these; UnknownMetric.
    """

    metric: str | None = None
    ablation: str | Ablation = Ablation.RESAMPLE
    prompts: int = 64
    seed: int = 0
    device: str = "cpu"
    dtype: str = "float32"
    only_correct: bool = False

    def __post_init__(self) -> None:
        kinds = [kind.value for kind in Ablation]
        if not isinstance(self.ablation, Ablation):
            if self.ablation not in kinds:
                raise BadSetting(f"unknown ablation {self.ablation!r}; wanted one of {', '.join(kinds)}")
            object.__setattr__(self, "ablation", Ablation(self.ablation))
        if self.dtype not in DTYPES:
            raise BadSetting(f"unknown dtype {self.dtype!r}; wanted one of {', '.join(DTYPES)}")
        if self.prompts < 2:
            raise BadSetting(f"{self.prompts} prompts are too few; wanted at least 2 to discover with (--prompts)")
        if self.prompts > MOST_PROMPTS:
            raise BadSetting(
                f"{self.prompts:,} prompts are too many; wanted at most {MOST_PROMPTS:,} to discover with (--prompts)"
            )
        if self.seed < 0:
            raise BadSetting(f"the seed is {self.seed}; wanted 0 or a positive number")
        if self.metric is not None:
            object.__setattr__(self, "metric", metric_name(self.metric))

    @property
    def torch_dtype(self) -> torch.dtype:
        """The precision, as torch names it."""
        import torch

        dtype = getattr(torch, self.dtype)
        assert isinstance(dtype, torch.dtype)
        return dtype
