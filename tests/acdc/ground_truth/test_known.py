"""Which truth stands for which ablation."""

from __future__ import annotations

import pytest

import acdc
from acdc.errors import AcdcError
from acdc.graphs.ablation import Ablation
from acdc.graphs.model import Model
from acdc.graphs.nodes import Edge
from acdc.ground_truth.known import Known

ZERO, MEAN = frozenset({Edge.parse("input->logits")}), frozenset({Edge.parse("a0.h0->logits")})


def test_truth_is_that_of_the_ablation_or_the_first_known_and_says_which(llama: Model) -> None:
    known = Known("toy", acdc.get_task("periodic"), llama, {Ablation.ZERO: ZERO, Ablation.MEAN: MEAN})
    assert known.truth(Ablation.MEAN) == (MEAN, Ablation.MEAN)
    assert known.truth(Ablation.RESAMPLE) == (ZERO, Ablation.ZERO)


def test_nothing_known_is_refused(llama: Model) -> None:
    with pytest.raises(AcdcError, match="at least"):
        Known("toy", acdc.get_task("periodic"), llama, {})
