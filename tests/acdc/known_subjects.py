"""A shipped model in the place of those whose circuit is known, with the six edges that do most in it for a truth."""

from __future__ import annotations

import acdc
from acdc.graphs.ablation import Ablation
from acdc.graphs.nodes import Edge
from acdc.ground_truth.known import Known
from acdc.ground_truth.known_models import KnownSubject
from acdc.models import load_named
from acdc.settings import Setup

TRUE = frozenset(
    map(
        Edge.parse,
        (
            "a1.h0->logits",
            "a0.h0->a1.h0<v>",
            "input->a0.h0<v>",
            "input->a0.h2<v>",
            "input->a1.h0<q>",
            "a0.h2->a1.h0<k>",
        ),
    )
)


def periodic(name: str) -> Known:
    """What is taken for true here was found under resample ablation, and is known under no other."""
    model = load_named("periodic-2l", Setup())
    return Known(name, acdc.get_task("periodic"), model, {Ablation.RESAMPLE: TRUE})


def only_periodic() -> dict[str, KnownSubject]:
    """In the place of all subjects: two that are one."""
    return {name: KnownSubject("tests.acdc.known_subjects:periodic", name) for name in ("stand-in", "other")}
