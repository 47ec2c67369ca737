"""A circuit in one paragraph of plain words, made from the numbers by a template."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from acdc.explain.explanation import Explanation
from acdc.explain.relation_names import PREVIOUS
from acdc.explain.roles import AS_WELL, ON_RANDOM
from acdc.explain.s_inhibition import MOVED_AWAY, MOVED_TOWARDS
from acdc.graphs.nodes import Node
from acdc.graphs.roles import UNLABELLED


def summary(explanation: Explanation) -> str:
    """The paragraph; every clause has its number."""
    by_role: dict[str, list[Node]] = defaultdict(list)
    for node, found in explanation.roles.items():
        by_role[found.role].append(node)
    unlabelled = by_role.pop(UNLABELLED, [])
    clauses = []
    for role, nodes in by_role.items():
        check = next(check for check in explanation.ablations.checks if check.role == role)
        named = ", ".join(
            f"{node.name} ({next(iter(explanation.roles[node].evidence.values())):.0%} of its attention"
            f"{_more(explanation, node)})"
            for node in nodes
        )
        clauses.append(
            f"The {role} head{'s' if len(nodes) > 1 else ''} {named}: ablating "
            f"{'them' if len(nodes) > 1 else 'it'} costs {check.cost.value:.0%} of the behaviour, as many other heads "
            f"of the same layers {abs(check.others):.0%}."
        )
    for mlp in explanation.mlps:
        if mlp.of_token is not None:
            clauses.append(f"m0 writes {mlp.of_token:.0%} of what it does from the token alone.")
    for pair in explanation.ablations.pairs:
        if pair.structure != "additive":
            one, other = pair.heads
            clauses.append(
                f"{one.name} and {other.name} are {_STRUCTURES[pair.structure]}: ablating them costs "
                f"{pair.alone[0]:.0%} and {pair.alone[1]:.0%} alone, {pair.both:.0%} together."
            )
    if unlabelled:
        clauses.append(f"{len(unlabelled)} of {len(explanation.roles)} heads have no role that the evidence shows.")
    return " ".join(clauses) or "The circuit has no heads, so none has a role."


_STRUCTURES = {"backup (OR)": "each other's backup", "chain (AND)": "both needed for the same"}


def _more(explanation: Explanation, node: Node) -> str:
    """To what it is paid."""
    evidence = explanation.roles[node].evidence
    [name, *_] = evidence
    relation = name.removeprefix("attention to ")
    words = f" goes to {'the token before' if relation == PREVIOUS else relation}"
    alike = [
        name.removeprefix(AS_WELL) + _on_random(evidence, f"{ON_RANDOM} {name}")
        for name in evidence
        if name.startswith(AS_WELL)
    ]
    if MOVED_AWAY in evidence:
        words += f"; without it name movers pay {-100 * evidence[MOVED_AWAY]:.0f} points less to answers"
        words += f" and {100 * evidence[MOVED_TOWARDS]:.0f} more to distractors"
    return f"{words}, which these prompts do not tell from {' or '.join(alike)}" if alike else words


def _on_random(evidence: Mapping[str, float], other: str) -> str:
    """What sequences say in which the two differ."""
    known = ON_RANDOM in evidence and other in evidence
    return f" ({ON_RANDOM} {evidence[ON_RANDOM]:.0%} and {evidence[other]:.0%})" if known else ""
