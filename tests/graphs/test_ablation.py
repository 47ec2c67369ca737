"""Ablations are named as users write them."""

from __future__ import annotations

import pytest

from acdc.graphs.ablation import Ablation


def test_ablations_go_by_the_names_users_write() -> None:
    assert [ablation.value for ablation in Ablation] == ["resample", "mean", "mean-positional", "zero", "optimal"]
    assert Ablation("mean-positional") is Ablation.MEAN_POSITIONAL


def test_there_is_no_other_ablation() -> None:
    with pytest.raises(ValueError, match="noise"):
        Ablation("noise")
