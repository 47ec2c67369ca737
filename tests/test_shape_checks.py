"""What the tests check of the shapes in every test, they check inside of functions too, and once is enough there."""

from __future__ import annotations

from collections.abc import Callable

import jaxtyping
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from tests import shape_checks

Rows = Float[Tensor, "row 2"]


def made() -> Callable[[Rows], Rows]:
    @jaxtyping.jaxtyped(typechecker=shape_checks.first_calls)
    def same(rows: Rows) -> Rows:
        return rows

    return same


def test_a_wrong_shape_is_refused_inside_of_a_function_in_every_test() -> None:
    for _ in range(2):
        shape_checks.start_again()
        same = made()
        assert same(torch.zeros(3, 2)).shape == (3, 2)
        with pytest.raises(jaxtyping.TypeCheckError):
            same(torch.zeros(3, 5))


def test_a_function_that_is_made_again_is_not_wrapped_again() -> None:
    assert hasattr(made(), "__wrapped__")
    assert not hasattr(made(), "__wrapped__")


def test_after_the_first_calls_nothing_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    assert not hasattr(made(), "__wrapped__")
