"""Pruning step by step gives, at every step, what the executor gives for the same circuit run from scratch."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal, get_args

import pytest
import torch
from torch import Tensor

from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.executor import Executor
from acdc.graphs.execution.incremental import IncrementalExecutor
from acdc.graphs.execution.runs import Runs, TokenPairs, prepare
from acdc.graphs.model import Model
from acdc.graphs.nodes import LOGITS, Edge, Receiver
from tests.checkpoints import Checkpoints
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS
from tests.native_bridges import native_model

Kind = Literal[
    "gpt2",
    "parallel",
    "grouped",
    "sliding",
    "frozen scale",
    "attention only",
    "solu",
    "bidirectional",
    "joint norms",
    "experts",
    "alibi",
    "norms of each head",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
WALKS = [
    *((kind, Ablation.RESAMPLE) for kind in KINDS),
    *((kind, each) for kind in ("parallel", "frozen scale") for each in UNLEARNED if each is not Ablation.RESAMPLE),
]
"""Missing edges carry something of each prompt's own on every kind of model, or one vector for all on two."""
COLUMNS = torch.tensor([[7, 30], [8, 31], [9, 9]])


@pytest.fixture(scope="module")
def models(checkpoints: Checkpoints) -> dict[Kind, Model]:
    return {
        "gpt2": checkpoints.model("gpt2"),
        "parallel": checkpoints.model("gpt_neox"),
        "grouped": checkpoints.model("qwen3"),
        "sliding": checkpoints.model("mistral"),
        "frozen scale": checkpoints.model("gemma2"),
        "attention only": native_model("attention_only", n_layers=3),
        "solu": native_model("solu_ln"),
        "bidirectional": native_model("bidirectional"),
        "joint norms": checkpoints.model("olmo2"),
        "experts": checkpoints.model("mixtral"),
        "alibi": checkpoints.model("bloom"),
        "norms of each head": checkpoints.model("cohere"),
    }


def runs_of(model: Model, ablation: Ablation = Ablation.RESAMPLE, positions: Tensor = POSITIONS) -> Runs:
    return prepare(model, TokenPairs(CLEAN, CORRUPT, positions), ablation)


@dataclass
class Walk:
    """One pruning that decides at random, and every circuit it tried with the logits it got for it."""

    incremental: IncrementalExecutor
    draw: random.Random
    acceptance: float = 0.5
    tried: list[Circuit] = field(default_factory=list)
    logits: list[Tensor] = field(default_factory=list)
    dropped: list[Receiver] = field(default_factory=list)

    @property
    def circuit(self) -> Circuit:
        return Circuit.from_mask(self.incremental.runs.graph, self.incremental.kept.numpy())

    def note(self, circuit: Circuit, logits: Tensor) -> None:
        self.tried.append(circuit)
        self.logits.append(logits.clone())

    def receiver(self, receiver: Receiver) -> None:
        """Try a receiver's edges a few at a time, and remove some."""
        before = self.circuit
        if not self.incremental.begin(receiver):
            assert self.circuit == before.without(self.incremental.runs.graph.incoming(receiver))
            self.dropped.append(receiver)
            return
        self.note(self.circuit, self.incremental.logits)
        if self.draw.random() < 0.5:
            self.keep_some(receiver)
        left = self.senders(receiver)
        self.draw.shuffle(left)
        while left:
            count = self.draw.randint(1, 4)
            now, left = left[:count], left[count:]
            circuit, together = self.circuit, self.draw.random() < 0.8
            logits = self.incremental.try_removals(receiver, now, together=together)
            names = [self.edge(receiver, sender) for sender in now]
            for index in range(len(now)):
                self.note(circuit.without(names[: index + 1] if together else names[index : index + 1]), logits[index])
            most = len(now) if together else 1  # a trial alone stands for the first one only
            accepted = sum(self.draw.random() < self.acceptance for _ in range(most))
            self.incremental.accept(accepted)
            assert self.circuit == circuit.without(names[:accepted])
            self.note(self.circuit, self.incremental.logits)

    def keep_some(self, receiver: Receiver) -> None:
        """Try some of a receiver's edges without all others, and remove those."""
        now = self.senders(receiver)
        staying = self.draw.sample(now, self.draw.randint(2 * len(now) // 3, len(now)))
        wanted = self.circuit.without([self.edge(receiver, sender) for sender in set(now) - set(staying)])
        [logits] = self.incremental.unembed(self.incremental.try_keeping(receiver, staying))
        self.note(wanted, logits)
        if staying and self.draw.random() < 0.7:
            self.incremental.accept(1)
            assert self.circuit == wanted
            self.note(self.circuit, self.incremental.logits)

    def senders(self, receiver: Receiver) -> list[int]:
        row = self.incremental.kept[self.incremental.runs.graph.receiver_index[receiver]]
        return [int(sender) for sender in row.nonzero().squeeze(1)]

    def edge(self, receiver: Receiver, sender: int) -> Edge:
        return Edge(self.incremental.runs.graph.senders[sender], *receiver)

    def check(self, columns: Tensor | None = None) -> None:
        """All of it against the executor, on the same prompts."""
        wanted = Executor.of(self.incremental.runs).run(self.tried, columns=columns)
        torch.testing.assert_close(torch.stack(self.logits), wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("kind", "ablation"), WALKS)
def test_a_random_walk_agrees_with_the_executor_all_the_way(
    models: dict[Kind, Model], kind: Kind, ablation: Ablation
) -> None:
    with torch.no_grad():
        walk = Walk(IncrementalExecutor(runs_of(models[kind], ablation)), random.Random(f"{kind} {ablation}"))
        for receiver in reversed(models[kind].graph.receivers):
            walk.receiver(receiver)
        assert len(walk.tried) > 50
        assert 0 < len(walk.circuit) < models[kind].graph.n_edges
        walk.check()


@pytest.mark.parametrize("position", [0, 6])
def test_prompts_may_all_be_scored_at_one_position(models: dict[Kind, Model], position: int) -> None:
    model = models["parallel"]
    with torch.no_grad():
        runs = runs_of(model, Ablation.MEAN, torch.full((3,), position))
        walk = Walk(IncrementalExecutor(runs), random.Random(position))
        for receiver in reversed(model.graph.receivers):
            walk.receiver(receiver)
        walk.check()


@pytest.mark.parametrize("kind", ["gpt2", "frozen scale", "solu", "experts", "bidirectional"])
def test_nodes_run_only_where_something_can_change_and_that_is_enough(models: dict[Kind, Model], kind: Kind) -> None:
    """Prompts that begin alike, of which the last is scored early: what follows is not read, if the model is causal."""
    model, corrupt = models[kind], torch.where(torch.arange(CLEAN.shape[1]) < 2, CLEAN, CORRUPT)
    with torch.no_grad():
        runs = prepare(model, TokenPairs(CLEAN, corrupt, torch.tensor([5, 4, 3])), Ablation.RESAMPLE, confined=True)
        tokens = runs.positions.tokens
        if model.is_causal:
            assert tokens is not None
            held = tokens.prompt.bincount() - torch.tensor([4, 3, 2])
            # what an expert makes of a token may be rounded by which others come to it, so that more seem to change
            assert (held >= 0).all() if kind == "experts" else not held.any()
        walk = Walk(IncrementalExecutor(runs), random.Random(kind), acceptance=0.7)
        for receiver in reversed(model.graph.receivers):
            walk.receiver(receiver)
        walk.check()


@pytest.mark.parametrize("kind", ["gpt2", "bidirectional"])
def test_where_both_runs_agree_behind_a_difference_circuits_may_not(models: dict[Kind, Model], kind: Kind) -> None:
    """As where two tokens change places, which a head that looks at all alike does not notice, but its half would."""
    model, corrupt = models[kind], CLEAN.clone()
    corrupt[:, 2] = CORRUPT[:, 2]
    with torch.no_grad():
        runs = prepare(model, TokenPairs(CLEAN, corrupt, torch.tensor([5, 4, 3])), Ablation.RESAMPLE)
        for delta in runs.delta:
            delta[:, 3:] = 0
        tokens = runs.confined().positions.tokens
    if model.is_causal:
        assert tokens is not None
        assert tokens.numbers.tolist() == [2, 3, 4, 5, 8, 9, 10, 14, 15]
    else:
        assert tokens is None, "it may look back from anywhere"


def test_only_the_asked_columns_come_back(models: dict[Kind, Model]) -> None:
    model = models["frozen scale"]  # whose logits are capped
    with torch.no_grad():
        walk = Walk(IncrementalExecutor(runs_of(model), COLUMNS), random.Random(2))
        for receiver in reversed(model.graph.receivers[-12:]):
            walk.receiver(receiver)
        assert walk.logits[0].shape == COLUMNS.shape
        walk.check(COLUMNS)


@pytest.mark.parametrize("kind", ["gpt2", "frozen scale", "attention only"])
def test_trials_apart_give_the_effect_of_every_single_edge(models: dict[Kind, Model], kind: Kind) -> None:
    model = models[kind]
    with torch.no_grad():
        runs = runs_of(model)
        incremental, full = IncrementalExecutor(runs), Circuit.full(model.graph)
        got = []
        for receiver in reversed(model.graph.receivers):
            assert incremental.begin(receiver)
            got.append(incremental.try_removals(receiver, range(model.graph.reads(receiver)), together=False))
            incremental.accept(0)
        single = [full.without([edge]) for r in reversed(model.graph.receivers) for edge in model.graph.incoming(r)]
        torch.testing.assert_close(torch.cat(got), Executor.of(runs).run(single), rtol=0, atol=1e-9)
        assert torch.equal(incremental.logits, IncrementalExecutor(runs).logits)


def test_before_anything_is_removed_the_logits_are_the_models_own(models: dict[Kind, Model]) -> None:
    runs = runs_of(models["gpt2"])
    torch.testing.assert_close(IncrementalExecutor(runs).logits, runs.reference(), rtol=0, atol=1e-12)


def test_accepting_nothing_changes_nothing(models: dict[Kind, Model]) -> None:
    model = models["gpt2"]
    with torch.no_grad():
        incremental = IncrementalExecutor(runs_of(model))
        for receiver in reversed(model.graph.receivers):
            incremental.begin(receiver)
            before = incremental.logits.clone()
            first = incremental.try_removals(receiver, [0])
            incremental.accept(0)
            assert torch.equal(incremental.logits, before)
            assert torch.equal(incremental.try_removals(receiver, [0]), first)
    assert int(incremental.kept.sum()) == model.graph.n_edges


@pytest.mark.parametrize("kind", ["gpt2", "parallel", "attention only"])
def test_nodes_that_reach_nothing_lose_their_edges_untested(models: dict[Kind, Model], kind: Kind) -> None:
    """Cut every edge out of the first head of the last layer."""
    model = models[kind]
    graph, last = model.graph, model.graph.n_layers - 1
    dead = f"a{last}.h0"
    with torch.no_grad():
        incremental = IncrementalExecutor(runs_of(model))
        dropped = []
        for receiver in reversed(graph.receivers):
            if not incremental.begin(receiver):
                dropped.append(receiver.name)
                continue
            out = [graph.sender_index[e.sender] for e in graph.incoming(receiver) if e.sender.name == dead]
            if out:
                incremental.try_removals(receiver, out)
                incremental.accept(1)
        assert dropped == [f"{dead}<v>", f"{dead}<k>", f"{dead}<q>"]
        circuit = Circuit.from_mask(graph, incremental.kept.numpy())
        assert all(dead not in (edge.sender.name, edge.receiver.name) for edge in circuit.edges)
        assert len(circuit) == sum(dead not in (e.sender.name, e.receiver.name) for e in graph.edges())


@pytest.mark.parametrize("ablation", [Ablation.RESAMPLE, Ablation.ZERO])
@pytest.mark.parametrize("kind", ["gpt2", "frozen scale"])
def test_a_walk_that_cuts_nodes_off_from_the_input_agrees_with_the_executor(
    models: dict[Kind, Model], kind: Kind, ablation: Ablation
) -> None:
    model = models[kind]
    with torch.no_grad():
        walk = Walk(IncrementalExecutor(runs_of(model, ablation)), random.Random(2), acceptance=0.93)
        for receiver in reversed(model.graph.receivers):
            walk.receiver(receiver)
    assert len(walk.circuit.pruned()) < len(walk.circuit)
    walk.check()


@pytest.mark.parametrize("kind", ["gpt2", "parallel", "attention only"])
def test_what_a_walk_leaves_has_no_edge_out_of_reach_of_the_logits(models: dict[Kind, Model], kind: Kind) -> None:
    model = models[kind]
    with torch.no_grad():
        walk = Walk(IncrementalExecutor(runs_of(model)), random.Random(1), acceptance=0.95)
        for receiver in reversed(model.graph.receivers):
            walk.receiver(receiver)
    assert len(walk.dropped) > 3
    writing = {edge.sender for edge in walk.circuit.edges} | {LOGITS}
    assert all(edge.receiver in writing for edge in walk.circuit.edges)


@pytest.mark.parametrize("kind", ["gpt2", "parallel", "frozen scale", "bidirectional"])
def test_an_interrupted_walk_goes_on_to_the_last_bit(models: dict[Kind, Model], kind: Kind) -> None:
    model = models[kind]
    order = model.graph.receivers[::-1]
    half = len(order) // 2
    with torch.no_grad():
        runs = runs_of(model)
        whole = Walk(IncrementalExecutor(runs), random.Random(3))
        for receiver in order[:half]:
            whole.receiver(receiver)
        rest = Walk(IncrementalExecutor(runs, None, whole.incremental.kept, decided=half), random.Random())
        rest.draw.setstate(whole.draw.getstate())
        start = len(whole.logits)
        for receiver in order[half:]:
            whole.receiver(receiver)
            rest.receiver(receiver)
    assert rest.tried == whole.tried[start:]
    assert torch.equal(torch.stack(rest.logits), torch.stack(whole.logits[start:]))


@pytest.mark.parametrize("ablation", [Ablation.RESAMPLE, Ablation.MEAN])
@pytest.mark.parametrize("kind", ["gpt2", "parallel", "frozen scale", "attention only"])
def test_a_finished_circuit_may_be_tried_again_in_any_order(
    models: dict[Kind, Model], kind: Kind, ablation: Ablation
) -> None:
    model = models[kind]
    with torch.no_grad():
        runs = runs_of(model, ablation)
        first = Walk(IncrementalExecutor(runs), random.Random(4), acceptance=0.4)
        for receiver in reversed(model.graph.receivers):
            first.receiver(receiver)
        kept, decided = first.incremental.kept, len(model.graph.receivers)
        again = Walk(IncrementalExecutor(runs, None, kept, decided), random.Random(5), acceptance=0.3)
        assert again.circuit == first.circuit
        order = [receiver for receiver in model.graph.receivers if again.senders(receiver)]
        again.draw.shuffle(order)
        for receiver in order:
            again.receiver(receiver)
        again.check()


def test_more_trials_at_once_are_said_to_take_more_memory_the_further_back_they_are(models: dict[Kind, Model]) -> None:
    model = models["gpt2"]
    incremental = IncrementalExecutor(runs_of(model))
    sizes = []
    for receiver in reversed(model.graph.receivers):
        incremental.begin(receiver)
        sizes.append(incremental.bytes_per_trial(receiver))
    assert 0 < sizes[0] < sizes[-1]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_half_precision_what_many_removals_take_off_is_rounded_once(
    checkpoints: Checkpoints, dtype: torch.dtype
) -> None:
    """Taken off one by one in half precision, each would round what is left, and small ones would be lost."""
    executor = IncrementalExecutor(runs_of(checkpoints.model("gpt2", dtype)))
    receiver = Receiver(LOGITS)
    assert executor.begin(receiver)
    senders = list(executor.runs.graph.may_read(receiver))[::-1]
    taken = executor.runs.scored(executor.runs.delta)[senders].float().cumsum(0).squeeze(-2)
    wanted = (executor.residual.float() - taken).to(dtype)
    torch.testing.assert_close(
        executor.try_residuals(receiver, senders), wanted, rtol=torch.finfo(dtype).eps, atol=1e-6
    )


@pytest.mark.parametrize("together", [True, False])
def test_trials_give_the_same_however_many_run_at_once(models: dict[Kind, Model], together: bool) -> None:
    graph = models["gpt2"].graph
    receiver = graph.receivers[len(graph.receivers) // 2]
    with torch.no_grad():
        whole, parts = (IncrementalExecutor(runs_of(models["gpt2"])) for _ in range(2))
        for executor in (whole, parts):
            for later in reversed(graph.receivers[graph.receiver_index[receiver] :]):
                executor.begin(later)
        senders = list(graph.may_read(receiver))[::-1]
        assert len(senders) > 5
        for accepted in (4, 1, 0):
            all_at_once = whole.try_residuals(receiver, senders, together=together)
            two_at_once = parts.try_residuals(receiver, senders, together=together, at_once=2)
            torch.testing.assert_close(two_at_once, all_at_once, rtol=0, atol=1e-12)
            if together:
                whole.accept(accepted)
                parts.accept(accepted)
                senders = senders[accepted:]
            torch.testing.assert_close(parts.logits, whole.logits, rtol=0, atol=1e-12)


def test_a_trial_takes_memory_for_what_its_receiver_reaches_only(models: dict[Kind, Model]) -> None:
    graph = models["gpt2"].graph
    head = next(node for node in graph.nodes if node.kind == "head")
    with torch.no_grad():
        kept = torch.zeros(len(graph.receivers), len(graph.senders), dtype=torch.bool)
        for row, receiver in enumerate(graph.receivers):
            kept[row, graph.may_read(receiver)] = True
        whole = IncrementalExecutor(runs_of(models["gpt2"]), None, kept, len(graph.receivers))
        others = [row for row, receiver in enumerate(graph.receivers) if receiver.node != LOGITS]
        kept[others, graph.sender_index[head]] = False
        alone = IncrementalExecutor(runs_of(models["gpt2"]), None, kept, len(graph.receivers))
        receiver = Receiver(head, "q")
        assert alone.bytes_per_trial(receiver) < whole.bytes_per_trial(receiver) / 1.2
        assert alone.bytes_per_trial(receiver, unembedded=False) < alone.bytes_per_trial(receiver)
