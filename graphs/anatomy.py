"""Of which parts a model's computational graph is made: how many layers and heads, with or without MLPs, how joined."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AbstractAnatomy:
    """The parts of a model.

    In a `parallel` model attention and MLP of a layer read the same residual. `frozen_scale` says that a norm spans
    heads: it follows their sum (Gemma 2 and 3), so that they add up only given its scale, or takes the queries or keys
    of all of them together (OLMo 2).

    Raises: ValueError when a count is no positive integer, something else is neither true nor false, or an
    attention-only model is called parallel.
    """

    n_layers: int
    n_heads: int
    d_model: int
    has_mlp: bool = True
    parallel: bool = False
    frozen_scale: bool = False

    def __post_init__(self) -> None:
        for name in ("n_layers", "n_heads", "d_model"):
            count = getattr(self, name)
            if type(count) is not int or count < 1:
                raise ValueError(f"{name} is {count!r}, wanted a whole number from 1 on")
        for name in ("has_mlp", "parallel", "frozen_scale"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} is {getattr(self, name)!r}, wanted true or false")
        if self.parallel and not self.has_mlp:
            raise ValueError("a graph without MLPs cannot run them in parallel with attention")
