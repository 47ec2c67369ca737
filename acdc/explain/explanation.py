"""What every node of a circuit does, with the evidence: measured of all heads of the model on the circuit's task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from acdc.errors import BadSetting
from acdc.explain.attention import attention
from acdc.explain.composition import EdgeComposition, compositions
from acdc.explain.copying import copying_scores
from acdc.explain.head_evidence import HeadEvidence
from acdc.explain.head_slots import HeadSlots, head_slots
from acdc.explain.interactions import Interaction, interactions
from acdc.explain.labelling import label
from acdc.explain.mlps import MlpReading, mlp_readings
from acdc.explain.other_patterns import OnVariation, on_variations
from acdc.explain.relation_names import RELATIONS
from acdc.explain.role_names import INHIBITION
from acdc.explain.roles import CausalCheck
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Node
from acdc.graphs.roles import UNLABELLED, NodeRole
from acdc.problem import Problem
from acdc.tasks.task import Task

if TYPE_CHECKING:
    from acdc.judges.distance import Watch

SCHEMA = "acdc.explanation/1"


@dataclass(frozen=True)
class HeadTable:
    """What was measured of heads on the prompts kept for it, how much each copies, and slots of the circuit's heads.

    `prompts` is how many roles were chosen on, and how many others they had to hold on.
    """

    measured: HeadEvidence
    copying: Mapping[Node, float]
    slots: Mapping[Node, HeadSlots]
    prompts: tuple[int, int]

    def to_json(self) -> list[dict[str, Any]]:
        """A row for every head of the model: its attention along every relation at all positions, and copying.

        `random` is the same on random sequences that repeat, None where the model reads too few tokens.
        """
        kinds = {"attention": self.measured.everywhere, "random": self.measured.random}
        return [
            {
                "head": head.name,
                **{
                    name: None if kind is None else {one: round(kind.of(head, one), 4) for one in RELATIONS}
                    for name, kind in kinds.items()
                },
                "copying": round(self.copying[head], 4),
            }
            for head in self.measured.everywhere.heads
        ]


@dataclass(frozen=True)
class Togetherness:
    """What ablating each head of the circuit costs the whole model, pairs of them, and the heads of each role."""

    costs: Mapping[Node, float]
    pairs: tuple[Interaction, ...]
    checks: tuple[CausalCheck, ...]


@dataclass(frozen=True)
class Explanation:
    """The roles of a circuit's nodes, with what they rest on; `heads` has all heads of the model."""

    roles: Mapping[Node, NodeRole]
    heads: HeadTable
    ablations: Togetherness
    composition: tuple[EdgeComposition, ...]
    mlps: tuple[MlpReading, ...]
    variations: tuple[OnVariation, ...]

    def noted_in(self, circuit: Circuit) -> Circuit:
        """The circuit with these roles."""
        return replace(circuit, roles=self.roles)

    def to_json(self) -> dict[str, Any]:
        """What `explain.json` holds.

        `prompts` is how many roles were chosen on and had to hold on. `roles` is as in the circuit's file: by node its
        role, evidence (name: number) and percentile among the model's heads. `costs` is what ablating each head costs,
        as a part of the behaviour; `interactions` pairs of heads; `slots` is where each head writes and what it reads
        there; `composition` q, k and v edges; `mlps` MLPs; `variations` the task's variations; `heads` all heads of the
        model.
        """
        checks = [
            {
                "role": check.role,
                "heads": [head.name for head in check.heads],
                "cost": round(check.cost.value, 4),
                "others": round(check.others, 4),
                "agrees": check.agrees,
            }
            for check in self.ablations.checks
        ]
        return {
            "schema": SCHEMA,
            "prompts": {"choosing": self.heads.prompts[0], "keeping": self.heads.prompts[1]},
            "roles": {node.name: role.to_json() for node, role in self.roles.items()},
            "checks": checks,
            "costs": {node.name: round(cost, 4) for node, cost in self.ablations.costs.items()},
            "slots": {node.name: slots.to_json() for node, slots in self.heads.slots.items()},
            "interactions": [pair.to_json() for pair in self.ablations.pairs],
            "composition": [edge.to_json() for edge in self.composition],
            "mlps": [mlp.to_json() for mlp in self.mlps],
            "variations": [variation.to_json() for variation in self.variations],
            "heads": self.heads.to_json(),
        }


def explain(
    circuit: Circuit,
    choosing: Problem,
    keeping: Problem,
    task: Task,
    *,
    prompts: int = 16,
    seed: int = 0,
    watch: Watch | None = None,
) -> Explanation:
    """Explain a circuit: roles are chosen on one problem's prompts and have to hold on the other's.

    `prompts` is how many of each of the task's variations are looked at (0: none); `watch` hears of every piece of
    work done.

    Raises: UnmeasurableBehaviour, DifferentGraphs; BadSetting where heads do not write for themselves, or not all that
    was written is read.
    """
    if apart := [split.node.name for split in circuit.graph.splits if split.kind != "mlp"]:
        raise BadSetting(
            f"the circuit's {', '.join(apart)} are split into features, and roles are of heads that write for "
            "themselves into a residual stream that is whole; explain a circuit found without these (--split)"
        )
    labels = label(circuit, choosing, keeping, seed, watch)
    found, kept = labels.roles, labels.kept
    costs = {head: float(cost.mean()) for head, cost in kept.costs.alone.items()}
    into = [edge for edge in circuit.ordered() if edge.slot is not None]
    looking = {head for head, role in found.items() if role.role not in (UNLABELLED, INHIBITION)}
    relations = {head: kept.role(head)[1] for head in found if head in looking}
    copying = dict(zip(kept.everywhere.heads, copying_scores(keeping.model).tolist(), strict=True))
    return Explanation(
        found,
        HeadTable(
            kept, copying, head_slots(labels.needed, attention(keeping)), (len(choosing.pairs), len(keeping.pairs))
        ),
        Togetherness(costs, interactions(keeping, kept.costs.alone, watch), labels.checks),
        compositions(keeping, into),
        mlp_readings(keeping, [node for node in circuit.nodes() if node.kind == "mlp"]),
        on_variations(keeping, task, kept.everywhere, relations, prompts, seed, watch),
    )
