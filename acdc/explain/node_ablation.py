"""What the behaviour is worth without some nodes of the whole model: what they write is what it is in the ablated run.

The same as a circuit of all edges but those that leave these nodes, for the cost of an ordinary run from the first of
their layers, and from the first position at which they write anything else, on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.batch import Batch
from acdc.explain.final_metric import measured_by_row
from acdc.graphs.execution.allocation import freed_memory_kept
from acdc.graphs.execution.branching import Branch, KnownRun
from acdc.graphs.execution.runs import Runs
from acdc.graphs.nodes import Node
from acdc.problem import Problem
from acdc.progress import Progress

if TYPE_CHECKING:
    from acdc.judges.distance import Watch

_NUMBERS = 1 << 25
"""About how many numbers of final residual streams are held at once."""


@dataclass(frozen=True)
class NodeAblation:
    """Nodes to ablate at every position; or one of them at one position alone."""

    nodes: tuple[Node, ...]
    position: int | None = None

    def __post_init__(self) -> None:
        assert self.position is None or len(self.nodes) == 1, "a later one would not write there what it does otherwise"

    @property
    def layer(self) -> int:
        """The first layer of theirs."""
        return min(node.layer for node in self.nodes)


def costs_without(
    problem: Problem,
    groups: Sequence[Collection[Node]],
    *,
    watch: Watch | None = None,
    stage: str = "ablating heads",
) -> Float[Tensor, "group prompt"]:
    """What ablating each group of heads and MLPs in the whole model costs, prompt by prompt.

    As a part of what the behaviour is: 0 where it is kept, 1 where it is as without any edge, in the mean over prompts.

    Raises: UnmeasurableBehaviour where the model does not show the behaviour.
    """
    full, none = problem.bounds
    costs = torch.empty(len(groups), len(problem.pairs), dtype=torch.float64)
    ablations = [NodeAblation(tuple(group)) for group in groups]
    for batch in problem.batches:
        lost = lost_without(problem, batch, ablations, watch=watch, stage=stage)
        costs[:, batch.prompts.prompts.cpu()] = batch.prompts.added_up(lost)
        del batch
    return costs / (full - none)


@freed_memory_kept()
def lost_without(
    problem: Problem,
    batch: Batch,
    ablations: Sequence[NodeAblation],
    *,
    watch: Watch | None = None,
    stage: str = "ablating heads",
) -> Float[Tensor, "ablation row"]:
    """By how much each ablation lowers the metric of each row of a batch; 0 where it changes nothing."""
    runs = batch.whole
    usual = runs.scored(runs.clean_residual(len(runs.graph.senders))).squeeze(-2)
    lost = torch.zeros(len(ablations), len(usual), dtype=torch.float64)
    run, at_once, done = clean_run(runs), max(1, _NUMBERS // usual.numel()), 0
    changes = _changes(runs, run, ablations)
    if watch is not None and changes:
        watch(Progress(stage, 0, len(changes)))
    with torch.no_grad():
        full = measured_by_row(problem, batch, usual[None])
        for first in range(0, len(ablations), at_once):
            some = [change for change in changes if first <= change.number < first + at_once]
            finals: dict[int, Tensor] = {}
            branches = (_branch(runs, run, ablations[change.number], change) for change in some)
            for change, final in zip(some, run.finals(branches), strict=True):
                finals.setdefault(change.number, usual.clone())[change.rows] = final
                done += 1
                if watch is not None:
                    watch(Progress(stage, done, len(changes)))
            if finals:
                lost[list(finals)] = full - measured_by_row(problem, batch, torch.stack(list(finals.values())))
    return lost


@dataclass(frozen=True)
class _ChangedRows:
    """That an ablation, by number, changes these rows of the clean run from one position to another."""

    number: int
    span: tuple[int, int]
    rows: Int[Tensor, " some"]


def clean_run(runs: Runs) -> KnownRun:
    """The clean run, which others leave."""
    before = tuple(runs.clean_residual(indices.reads) for indices in runs.graph.layers)
    return KnownRun(runs.model, runs.geometries, runs.scored_positions, before, runs.scales)


def _changes(runs: Runs, run: KnownRun, ablations: Sequence[NodeAblation]) -> list[_ChangedRows]:
    """What ablations change, those that are alike beside each other."""
    at = torch.arange(runs.delta.shape[-2], device=runs.delta.device)
    differs: dict[Node, Bool[Tensor, "row pos"]] = {}
    found = []
    for number, ablation in enumerate(ablations):
        for node in ablation.nodes:
            if node not in differs:
                differs[node] = _writes(runs, node)[1].ne(0).any(-1)
                if node.layer == runs.graph.n_layers - 1:
                    differs[node] &= at == runs.scored_positions[:, None]  # nothing reads what it writes elsewhere
        if not ablation.nodes:
            continue
        changed = torch.stack([differs[node] for node in ablation.nodes]).any(0)
        if ablation.position is not None:
            changed &= at == ablation.position
        starts = torch.where(changed.any(-1), changed.int().argmax(-1), len(at))
        found += [_ChangedRows(number, (start, end), rows) for start, end, rows in run.spans(starts)]
    return sorted(found, key=lambda change: (change.span, ablations[change.number].layer))


def _branch(runs: Runs, run: KnownRun, ablation: NodeAblation, change: _ChangedRows) -> Branch:
    """The runs of these rows with these nodes ablated."""
    here = slice(*change.span)
    fixed = {}
    for node in ablation.nodes:
        wrote, delta = (x[change.rows, here] for x in _writes(runs, node))
        ablated = wrote
        if ablation.position is not None:
            clean = wrote + delta
            at = torch.arange(*change.span, device=ablated.device)
            ablated = torch.where((at == ablation.position)[:, None], ablated, clean)
        fixed[node] = ablated
    residual = run.before[ablation.layer][change.rows, here]
    return Branch(ablation.layer, change.span[0], change.rows, residual, fixed)


def _writes(runs: Runs, node: Node) -> tuple[Float[Tensor, "row pos d_model"], Float[Tensor, "row pos d_model"]]:
    """What a head or an MLP (all its parts) writes in the ablated run, and how much more in the clean one."""
    indices = runs.graph.layers[node.layer]
    if node.kind == "head":
        number = runs.graph.sender_index[node]
        return runs.ablated.outputs[number].expand_as(runs.delta[number]), runs.delta[number]
    assert indices.mlp is not None
    some, parts = slice(indices.mlp.senders.start, indices.mlp.senders.stop), runs.model.layers[node.layer].parts
    delta, ablated = runs.delta[some].sum(0), runs.ablated.outputs[some].sum(0)
    if parts is not None and parts.bias is not None:
        ablated = ablated + parts.bias
    return ablated.expand_as(delta), delta
