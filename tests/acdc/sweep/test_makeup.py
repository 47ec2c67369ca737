"""What a circuit is made of: by hand, and as a law of any two circuits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.nodes import Node
from acdc.graphs.roles import UNLABELLED, NodeRole
from acdc.sweep.makeup import Makeup, MakeupChange

SMALL, LARGE = ComputationalGraph(2, 1, 4, True), ComputationalGraph(6, 2, 4, True)
PATH = Circuit.from_names(SMALL, ["input->a0.h0<q>", "a0.h0->m1", "m1->logits"])


def test_each_end_of_an_edge_is_half_of_it_at_its_part_and_depth() -> None:
    shares = {part: pytest.approx(share) for part, share in Makeup.of(PATH, "kind").shares.items()}
    assert shares == {("head", 1): 2 / 6, ("input", 0): 1 / 6, ("logits", 0): 1 / 6, ("mlp", 5): 2 / 6}
    assert Makeup.of(Circuit.empty(SMALL), "kind").shares == {}


def test_the_same_path_in_a_deeper_model_is_the_same_where_it_is_as_far_up() -> None:
    first_and_last = Circuit.from_names(LARGE, ["input->a0.h1<v>", "a0.h1->m5", "m5->logits"])
    assert MakeupChange.between("small", PATH, first_and_last).overlap == pytest.approx(1.0)
    later = Circuit.from_names(LARGE, ["input->a3.h1<v>", "a3.h1->m5", "m5->logits"])
    change = MakeupChange.between("small", PATH, later)
    assert change.overlap == pytest.approx(4 / 6)
    assert [row[:2] for row in change.rows[:2]] == [("head", 1), ("head", 4)]


def test_roles_are_compared_where_both_have_them() -> None:
    mover, none = NodeRole("mover"), NodeRole(UNLABELLED)
    known = Circuit(SMALL, PATH.edges, roles={Node("head", 0, 0): mover})
    other = Circuit(SMALL, PATH.edges, roles={Node("head", 0, 0): none})
    assert MakeupChange.between("a", known, PATH).now.by == "kind"
    change = MakeupChange.between("a", known, other)
    assert change.now.by == "role"
    assert ("mover", 1) in change.was.shares
    assert ("head", 1) in change.now.shares
    assert change.overlap == pytest.approx(4 / 6)


@given(st.data())
def test_overlap_is_symmetric_between_0_and_1_and_1_only_for_the_same_shares(data: st.DataObject) -> None:
    some = st.sets(st.sampled_from([edge.name for edge in LARGE.edges()]), min_size=1, max_size=12)
    one, other = (Circuit.from_names(LARGE, data.draw(some)) for _ in range(2))
    there, back = MakeupChange.between("", one, other), MakeupChange.between("", other, one)
    assert there.overlap == pytest.approx(back.overlap)
    assert 0 <= there.overlap <= 1 + 1e-12
    assert sum(there.now.shares.values()) == pytest.approx(1.0)
    assert (there.overlap == pytest.approx(1.0)) == (there.was.shares == pytest.approx(there.now.shares))
