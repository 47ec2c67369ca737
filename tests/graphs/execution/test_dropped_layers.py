"""Estimates that leave out a layer each are those of an oracle in which that layer writes what it does in any case."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from acdc.graphs.ablation import Ablation
from acdc.graphs.execution import dropped_layers, linear_layer
from acdc.graphs.execution.dropped_layers import sizes_of_effects
from acdc.graphs.execution.gradients import Linearisation
from acdc.graphs.execution.runs import Runs, TokenPairs, prepare
from acdc.graphs.model import Model
from acdc.graphs.nodes import LOGITS, Edge
from tests.checkpoints import Architecture, Checkpoints
from tests.graphs.native_oracle import forward, native_anatomy_of, native_oracle_outputs
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS
from tests.native_bridges import Native, native_model

ROWS = torch.arange(len(CLEAN))


def runs_of(model: Model) -> Runs:
    return prepare(model, TokenPairs(CLEAN, CORRUPT, POSITIONS), Ablation.RESAMPLE)


def slopes_of(model: Model) -> Tensor:
    """A function of the logits, linear and otherwise arbitrary."""
    size = (len(CLEAN), model.unembedding.weight.shape[0])
    return torch.randn(size, generator=torch.Generator().manual_seed(5), dtype=torch.float64).to(model.dtype)


class Oracle:
    """A plain forward pass from the weights, in which chosen senders write what they are said to."""

    def __init__(self, model: Model) -> None:
        self.model, self.bridge = model, model.bridge
        self.clean, self.corrupt = (native_oracle_outputs(self.bridge, side) for side in (CLEAN, CORRUPT))

    def held(self, layer: int) -> dict[str, Tensor]:
        anatomy = native_anatomy_of(self.bridge)
        named = [*anatomy.heads(layer), *([f"m{layer}"] if anatomy.has_mlp else [])]
        return {sender: self.clean[sender] for sender in named}

    def slope_at(self, read: str, held: dict[str, Tensor]) -> Tensor:
        """The gradient at what all edges `read` into one receiver, where `held` senders write that in any case."""
        added = torch.zeros_like(self.clean["input"], requires_grad=True)
        first = True

        def carried(edge: str, out: Tensor, ablated: Tensor) -> Tensor:
            nonlocal first
            here, first = first and edge.endswith(f"->{read}"), first and not edge.endswith(f"->{read}")
            return out + added if here else out

        _, logits = forward(self.bridge, CLEAN, carried, {}, held)
        return self._gradient(logits, added)

    def slope_of(self, sender: str, held: dict[str, Tensor]) -> Tensor:
        """The gradient at what a sender writes."""
        wrote = self.clean[sender].clone().requires_grad_()
        _, logits = forward(self.bridge, CLEAN, lambda edge, out, ablated: out, {}, {**held, sender: wrote})
        return self._gradient(logits, wrote)

    def written_without(self, removed: str, sender: str) -> Tensor:
        """What a sender writes when one edge carries what its sender writes on the corrupt prompts."""
        with torch.no_grad():
            outputs, _ = forward(
                self.bridge, CLEAN, lambda edge, out, ablated: ablated if edge == removed else out, self.corrupt
            )
        return outputs[sender]

    def _gradient(self, logits: Tensor, at: Tensor) -> Tensor:
        value = (slopes_of(self.model) * logits[ROWS, POSITIONS]).sum()
        (slope,) = torch.autograd.grad(value, at, allow_unused=True)
        return torch.zeros_like(at) if slope is None else slope

    def size(self, edge: Edge) -> float:
        """The mean size of an edge's estimates, over the layers other than its receiver's, added up over prompts."""
        sender, receiver = edge.sender.name, edge.receiver.name
        own = None if edge.receiver == LOGITS else int(receiver.split(".")[0][1:])
        sizes = []
        for other in [other for other in range(self.model.graph.n_layers) if other != own] or [None]:
            held = {} if other is None else self.held(other)
            if edge.slot in ("q", "k"):
                less = self.clean[receiver] - self.written_without(edge.name, receiver)
                products = less * self.slope_of(receiver, held)
            else:
                read = edge.name.split("->")[1]
                products = (self.clean[sender] - self.corrupt[sender]) * self.slope_at(read, held)
            sizes.append(products.flatten(1).sum(1).abs().sum())
        return float(torch.stack(sizes).mean())


@pytest.mark.parametrize(("name", "layers"), [("relu", 1), ("relu", 3), ("rotary", 2), ("attention_only", 3)])
def test_the_size_of_any_edge_is_the_oracle_s(name: Native, layers: int) -> None:
    model = native_model(name, n_layers=layers, n_heads=2)
    graph, oracle = model.graph, Oracle(model)
    got = sizes_of_effects(Linearisation(runs_of(model)), slopes_of(model), ROWS)
    assert not got.isnan().any()
    assert (got != 0).sum() == graph.n_edges, "every edge must matter"
    for edge, index in random.Random(layers).sample(list(graph.edge_indices.items()), min(16, graph.n_edges)):
        wanted = oracle.size(edge)
        assert float(got[index]) == pytest.approx(wanted, rel=1e-7, abs=1e-9), edge


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt_neox", "qwen3", "olmo2"])
def test_of_small_changes_in_one_layer_it_is_the_gradient_s(checkpoints: Checkpoints, name: Architecture) -> None:
    """Where nothing is far from the clean run, and where the gradient of the last layer alone is looked at."""
    model = checkpoints.model(name)
    runs = runs_of(model)
    near, slopes = replace(runs, delta=runs.delta * 1e-5), slopes_of(model)
    last = model.graph.layers[-1].receivers
    # the ablated residuals stay where they were, so that the clean run is the one it was
    scores = Linearisation(near, runs.clean_residual(1)).row_scores(slopes).abs().sum(0)
    sizes = sizes_of_effects(Linearisation(near, runs.clean_residual(1)), slopes, ROWS)
    wanted, got = (each[last.start :] for each in (scores, sizes))
    torch.testing.assert_close(got, wanted, rtol=0, atol=float(wanted.max()) * 1e-4)


def test_rows_of_one_prompt_count_together() -> None:
    model = native_model("relu")
    runs, slopes = runs_of(model), slopes_of(model)
    apart = sizes_of_effects(Linearisation(runs), slopes, ROWS)
    together = sizes_of_effects(Linearisation(runs), slopes, torch.tensor([0, 0, 1]))
    assert (together <= apart + 1e-12).all()
    assert (together < apart - 1e-9).any(), "rows of opposite signs"


def test_some_senders_at_a_time_and_mlps_computed_again_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = native_model("gelu_new", n_layers=3)
    slopes = slopes_of(model)
    whole = sizes_of_effects(Linearisation(runs_of(model)), slopes, ROWS)
    monkeypatch.setattr(dropped_layers, "_AT_ONCE", 1)
    monkeypatch.setattr(linear_layer, "KEPT", 0)
    torch.testing.assert_close(sizes_of_effects(Linearisation(runs_of(model)), slopes, ROWS), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_half_precision_the_largest_are_the_same(checkpoints: Checkpoints, dtype: torch.dtype) -> None:
    exact, half = checkpoints.model("llama"), checkpoints.model("llama", dtype)
    wanted = sizes_of_effects(Linearisation(runs_of(exact)), slopes_of(exact), ROWS).float()
    got = sizes_of_effects(Linearisation(runs_of(half)), slopes_of(half), ROWS)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, wanted, rtol=0, atol=0.1 * float(wanted.max()))
