"""Which edges outside a circuit would repair it where it fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from acdc.attacks.candidates import divergence
from acdc.attacks.case import BOUND, Case
from acdc.attacks.measuring import cases
from acdc.batch import Batch
from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.allocation import freed_memory_kept
from acdc.graphs.execution.executor import Executor
from acdc.graphs.nodes import Edge
from acdc.precision import finite
from acdc.problem import Problem
from acdc.tasks.metrics import KLDivergence

MOST = 12
_SHOWN = 10
_WIDTH = 64
"""Among how many edges the greedy repair chooses: those that do most alone."""
_POINTS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Where, between the circuit and the whole model, gradients are taken to find the edges that help together."""
_LEAST = 1e-3
"""By how many nats an edge must lower KL to count."""

Edges = tuple[Edge, ...]


@dataclass(frozen=True)
class Restored:
    """An edge put back into the circuit, and KL(model || circuit) in nats after that."""

    edge: Edge
    kl: float

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return {"edge": self.edge.name, "kl": self.kl}


@dataclass(frozen=True)
class Diagnosis:
    """What repairs a case.

    `alone` are the edges that lower KL most when each is put back by itself, the best first; `together` those put back
    one after another, each with KL after it. A case is repaired when the circuit finds most likely what the model does,
    or, where the model is right, any of the answers, and KL is at most a bound; then no edge of `together` can be left
    out.
    """

    case: Case
    alone: tuple[Restored, ...]
    together: tuple[Restored, ...]
    repaired: bool

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return {
            "case": self.case.to_json(),
            "alone": [one.to_json() for one in self.alone],
            "together": [one.to_json() for one in self.together],
            "repaired": self.repaired,
        }


def diagnosis(problem: Problem, circuit: Circuit, *, bound: float = BOUND, most: int = MOST) -> tuple[Diagnosis, ...]:
    """For every prompt of the problem, the edges outside the circuit that repair it, at most `most` of them.

    Every edge is measured alone, exactly. To repair the case, edges are put back greedily, one at a time; and, since a
    path of which every edge is missing shows nothing until all are there, all at once those that gradients between the
    circuit and the whole model rank highest, fewest first, less those that turn out not to be needed. Gradients only
    order edges; all that is reported is measured. The smaller repair counts.

    Raises: BadSetting when bound or `most` are not positive or a prompt is scored at several positions;
    DifferentGraphs.
    """
    if not bound > 0 or most < 1:
        raise BadSetting(f"a repair to a KL of {bound} by {most} edges is none; wanted both to be positive")
    if any(len(pair.scored) > 1 for pair in problem.pairs.pairs):
        raise BadSetting(
            "a prompt that is scored at several positions cannot be diagnosed, nor one whose answers are measured "
            "whole: got some, wanted one scored position for each; score each prompt at one position"
        )
    met = cases(problem, circuit, "diagnosis")
    outside = (~circuit).ordered()
    alone = _alone(problem, circuit, outside)
    found = []
    for index, case in enumerate(met):
        [batch] = problem.on(problem.pairs.select([index])).batches
        order = sorted(range(len(outside)), key=lambda edge: (alone[edge][index], edge))
        best = [Restored(outside[edge], alone[edge][index]) for edge in order]
        helpful = tuple(one for one in best if one.kl < case.kl - _LEAST)
        repair = _Repair(batch, circuit, bound, most)
        together, repaired = repair.of([one.edge for one in best], outside)
        found.append(Diagnosis(case, helpful[:_SHOWN], together, repaired))
    return tuple(found)


def recurring(diagnoses: Sequence[Diagnosis]) -> tuple[tuple[Edge, int], ...]:
    """The edges that repairs have in common, each with the number of repaired cases that need it, most needed first."""
    needed = Counter(one.edge for each in diagnoses if each.repaired for one in each.together)
    return tuple(sorted(needed.items(), key=lambda item: (-item[1], item[0].name)))


@freed_memory_kept()
def _alone(problem: Problem, circuit: Circuit, outside: Edges) -> list[list[float]]:
    """KL of every prompt, with each of these edges put back alone."""
    if not outside:
        return []
    restored = [_with(circuit, [edge]) for edge in outside]
    values: list[list[float]] = problem.measure(restored, [KLDivergence()])[0].tolist()
    return values


def _with(circuit: Circuit, edges: Sequence[Edge]) -> Circuit:
    return Circuit(circuit.graph, circuit.edges | frozenset(edges))


class _Repair:
    """The repair of one case."""

    def __init__(self, batch: Batch, circuit: Circuit, bound: float, most: int) -> None:
        self._circuit, self._bound, self._most = circuit, bound, most
        self._executor, self._reference = Executor.of(batch.runs), batch.targets.reference
        said = self._reference.argmax(-1)
        answers = batch.targets.answers[0]
        self._right = torch.cat((answers, said)) if (answers == said).any() else said

    def of(self, best: Sequence[Edge], outside: Edges) -> tuple[tuple[Restored, ...], bool]:
        """The edges that repair the case, and whether they do; `best` are ordered by what they do alone."""
        if self._done([()])[0]:
            return (), True
        greedy = self._greedily(best[:_WIDTH])
        repairs = [self._needed(greedy)] if self._done([greedy])[0] else []
        ranked = self._ranked(outside) or tuple(best)
        enough = next(prefix for prefix in _doubling(ranked) if len(prefix) == len(ranked) or self._done([prefix])[0])
        if self._done([enough])[0]:
            repairs.append(self._needed(enough))
        smallest = min(repairs, key=len, default=())
        if repairs and len(smallest) <= self._most:
            return self._in_order(smallest), True
        return self._in_order(greedy), False

    def _measured(self, sets: Sequence[Edges]) -> tuple[list[float], list[bool]]:
        """KL with each of these sets put back, and whether what the circuit then finds most likely will do."""
        logits = self._executor.run([_with(self._circuit, edges) for edges in sets])[:, 0]
        reference = self._reference.expand_as(logits)
        right = torch.isin(logits.argmax(-1), self._right)
        values = finite(divergence(reference.double(), logits.double()), "KL with edges put back")
        return values.tolist(), right.tolist()

    def _done(self, sets: Sequence[Edges]) -> list[bool]:
        return [right and kl <= self._bound for kl, right in zip(*self._measured(sets), strict=True)]

    def _greedily(self, pool: Sequence[Edge]) -> Edges:
        """Edges put back one at a time, each the one that then lowers KL most, until the case is repaired."""
        taken: Edges = ()
        [now], _ = self._measured([taken])
        while len(taken) < self._most and not self._done([taken])[0]:
            tried = [(*taken, edge) for edge in pool if edge not in taken]
            if not tried:
                break
            values, _ = self._measured(tried)
            best = min(range(len(tried)), key=values.__getitem__)
            if values[best] > now - _LEAST:
                break
            taken, now = tried[best], values[best]
        return taken

    def _ranked(self, outside: Edges) -> Edges:
        """The edges by how fast KL falls with them on the way from the circuit to the whole model.

        None of them where a gradient is not finite, and tells nothing.
        """
        inside = torch.from_numpy(self._circuit.mask()).to(self._reference)
        rest = torch.from_numpy((~self._circuit).mask()).to(self._reference)
        total = torch.zeros_like(rest)
        for point in _POINTS:
            with torch.enable_grad():
                mask = (inside + point * rest).requires_grad_()
                [logits] = self._executor.run_masks(mask[None])
                total += torch.autograd.grad(divergence(self._reference, logits).sum(), mask)[0]
        if not total.isfinite().all():
            return ()
        indices = self._circuit.graph.edge_indices
        slopes = total.tolist()
        return tuple(sorted(outside, key=lambda edge: (slopes[indices[edge][0]][indices[edge][1]], indices[edge])))

    def _needed(self, edges: Edges) -> Edges:
        """These edges less those without which the case is repaired as well, tried from the last, in ever fewer."""
        size = max(1, len(edges) // 2)
        while edges:
            end, before = len(edges), edges
            while end > 0:
                start = max(0, end - size)
                fewer = edges[:start] + edges[end:]
                if self._done([fewer])[0]:
                    edges = fewer
                end = start
            if size == 1 and edges == before:  # an edge may be needed only as long as another is there
                break
            size = max(1, size // 2)
        return edges

    def _in_order(self, edges: Edges) -> tuple[Restored, ...]:
        """These edges in the order in which each lowers KL most, given those before it."""
        order: list[Restored] = []
        left = list(edges)
        while left:
            before = tuple(one.edge for one in order)
            values, _ = self._measured([(*before, edge) for edge in left])
            best = min(range(len(left)), key=values.__getitem__)
            order.append(Restored(left.pop(best), values[best]))
        return tuple(order)


def _doubling(edges: Edges) -> Sequence[Edges]:
    """Ever longer prefixes, the last of them all."""
    sizes = [1 << power for power in range(len(edges).bit_length()) if 1 << power < len(edges)]
    return [edges[:size] for size in (*sizes, len(edges))]
