"""What derivative a gradient takes of the parts that are not linear: their own, or one that stands in for it.

Every rule is written as a forward whose value is the part's own, to the bit, and whose derivative is the rule's.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import assert_never

_TEMPERATURE = 2.0
_FACTORS = 2  # of every product


class BackwardRules(Enum):
    """Which derivatives norms, activation functions, gates and attention have; linear maps always have their own.

    Soft caps, clipped projections and modules that are run whole (mixtures of experts) have their own by all rules.
    """

    GRADIENT = "gradient"
    """Their own."""
    RELEVANCE = "relevance"
    """Those of layer-wise relevance propagation, by which what a part writes is shared out among what it reads.

    The scale of a norm is a constant (LN-rule; the mean that a layer norm subtracts is not); an activation function f
    has the coefficient f(x) / x, at 0 its derivative (identity rule); each factor of a gate's product has half of its
    derivative (half rule). Attention has its own, as in the authors' published experiment: their AH-rule, by which
    the attention pattern is a constant, would leave queries and keys without any coefficient.

    Source: Jafari et al. 2025 (arXiv:2508.21258), table of propagation rules, and github.com/FarnoushRJ/RelP,
    demos/lrp_patching.
    """
    INTERACTION = "interaction"
    """Those of gradient interaction modifications, by which factors that stand in for each other each get a share.

    The scale of a norm is a constant; the softmax of attention scores s has the derivative p (g - sum of p g) with
    p = softmax(s / 2); each factor of a product has half of its derivative, be it of queries and keys, of the pattern
    and values, or of a gate. So gradients at values are halved, and those at queries and keys are quartered.

    Source: Edin et al. 2025 (arXiv:2505.17630), and github.com/corticph/gim.
    """

    @property
    def freezes_norms(self) -> bool:
        """Whether the scale of a norm is a constant."""
        return self is not BackwardRules.GRADIENT

    def activated(
        self, function: Callable[[Tensor], Tensor], x: Float[Tensor, "*batch d_mlp"]
    ) -> Float[Tensor, "*batch d_mlp"]:
        """An activation function of x."""
        match self:
            case BackwardRules.GRADIENT | BackwardRules.INTERACTION:
                return function(x)
            case BackwardRules.RELEVANCE:
                return with_derivative_of(function(x.detach()), x * _coefficient(function, x.detach()))
            case _:
                assert_never(self)

    def gated(
        self, gate: Float[Tensor, "*batch d_mlp"], hidden: Float[Tensor, "*batch d_mlp"]
    ) -> Float[Tensor, "*batch d_mlp"]:
        """What a gate lets through."""
        match self:
            case BackwardRules.GRADIENT:
                return gate * hidden
            case BackwardRules.RELEVANCE | BackwardRules.INTERACTION:
                return _shared(gate * hidden)
            case _:
                assert_never(self)

    def multiplied(
        self, left: Float[Tensor, "head *#batch row inner"], right: Float[Tensor, "head *#batch inner column"]
    ) -> Float[Tensor, "head *batch row column"]:
        """The matrix product of queries and keys, or of the pattern and values."""
        match self:
            case BackwardRules.GRADIENT | BackwardRules.RELEVANCE:
                return left @ right
            case BackwardRules.INTERACTION:
                return _shared(left @ right)
            case _:
                assert_never(self)

    def pattern(self, scores: Float[Tensor, "head *batch query key"]) -> Float[Tensor, "head *batch query key"]:
        """The softmax of attention scores."""
        match self:
            case BackwardRules.GRADIENT | BackwardRules.RELEVANCE:
                return scores.softmax(dim=-1)
            case BackwardRules.INTERACTION:
                tempered = (scores / _TEMPERATURE).softmax(dim=-1)
                return with_derivative_of(scores.detach().softmax(dim=-1), _TEMPERATURE * tempered)
            case _:
                assert_never(self)


def with_derivative_of(value: Float[Tensor, "*shape"], other: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The value, to the bit where `other` is finite, with the derivative of `other`."""
    return value.detach() + (other - other.detach())


def _shared(product: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    return with_derivative_of(product, product / _FACTORS)


def _coefficient(
    function: Callable[[Tensor], Tensor], x: Float[Tensor, "*batch d_mlp"]
) -> Float[Tensor, "*batch d_mlp"]:
    """function(x) / x, worked out in float32 at least; where x is 0, how what it writes there grows with it."""
    with torch.enable_grad():
        leaf = x.to(torch.promote_types(x.dtype, torch.float32)).requires_grad_()
        wrote, at_zero = function(leaf), leaf == 0
        ratio = wrote.detach() / leaf.detach()
        if at_zero.any():
            (slope,) = torch.autograd.grad((wrote * at_zero).sum(), leaf)
            ratio = torch.where(at_zero, slope, ratio)
    return ratio.to(x.dtype)
