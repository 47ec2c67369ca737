"""A planted model with a circuit that lacks one true edge, so that it is known where it fails and what repairs it."""

from __future__ import annotations

from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.ground_truth.known import Known
from acdc.settings import Setup

SETUP = Setup(prompts=8).on(dtype="float64")


def true(known: Known) -> Circuit:
    """The circuit of all true edges."""
    return Circuit(known.model.graph, known.truths[Ablation.RESAMPLE])


def dropped(known: Known) -> Edge:
    """The true edge that the circuit lacks: the last into a head's keys."""
    return [edge for edge in true(known).ordered() if edge.slot == "k"][-1]


def broken(known: Known) -> Circuit:
    """All true edges but that one."""
    return true(known).without([dropped(known)])
