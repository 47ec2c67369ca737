"""What nodes add to the logit difference: all of it, each as TransformerLens's own hooks and a sheet of paper say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from acdc.errors import UnmeasurableBehaviour
from acdc.explain.direct_logits import BIASES, another_for_each, direct_effects, direct_logits
from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem
from acdc.tasks.metrics import KLDivergence, LogitDifference
from acdc.tasks.pairs import ScoredPosition, TokenPair
from acdc.tasks.prompts import PromptPairs
from tests.acdc.behaviours import TEXT, behaviour
from tests.checkpoints import Architecture, Checkpoints
from tests.graphs.oracle import load_bridge, oracle_outputs
from tests.graphs.test_hand_weighted import CLEAN, CORRUPT, A, B, C, hand_weighted
from tests.native_bridges import native_model


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "qwen3", "gemma3", "gpt_neox", "olmo2"])
def test_effects_add_up_to_the_logit_difference(checkpoints: Checkpoints, architecture: Architecture) -> None:
    model = checkpoints.model(architecture)
    problem = Problem(model, behaviour(model, (5, 9, 9, 5, 7)), LogitDifference())
    found = direct_effects(problem)
    whole = problem.measure([Circuit.full(model.graph)])[0, 0]
    torch.testing.assert_close(found.sum(0), whole, rtol=0, atol=1e-6)
    assert direct_logits(problem).logit_difference == pytest.approx(float(whole.mean()), abs=1e-6)


def test_a_soft_cap_of_the_logits_is_left_out(checkpoints: Checkpoints) -> None:
    capped = checkpoints.model("gemma2")
    model = replace(capped, unembedding=replace(capped.unembedding, soft_cap=None))
    problem = Problem(capped, behaviour(capped, (6, 6)), LogitDifference())
    uncapped = replace(problem, model=model).measure([Circuit.full(model.graph)])[0, 0]
    torch.testing.assert_close(direct_effects(problem).sum(0), uncapped, rtol=0, atol=1e-6)


@pytest.mark.parametrize("ablation", UNLEARNED)
def test_what_missing_edges_carry_does_not_matter(ablation: Ablation) -> None:
    model = native_model("relu")
    problem = Problem(model, behaviour(model, (5, 8, 8)), LogitDifference())
    found = direct_effects(replace(problem, ablation=ablation))
    torch.testing.assert_close(found, direct_effects(problem), rtol=0, atol=1e-9)


def test_the_effect_of_every_node_is_what_the_bridge_says(checkpoints: Checkpoints) -> None:
    """Outputs, scale and weights as TransformerLens has them, and the formula of a layer norm whose scale is fixed."""
    model, bridge = checkpoints.model("gpt2"), load_bridge(checkpoints.path("gpt2"))
    problem = Problem(model, behaviour(model, (7, 7, 7)), LogitDifference())
    found = direct_effects(problem)
    for number, pair in enumerate(problem.pairs.pairs):
        tokens, at = torch.tensor([pair.clean]), pair.position
        outputs = oracle_outputs(bridge, tokens)
        final = sum(outputs.values(), sum(block.attn.b_O for block in bridge.blocks))[0, at]
        norm = bridge.ln_final.original_component
        columns: Tensor = bridge.unembed.original_component.weight
        towards = columns[list(pair.answers)].mean(0) - columns[list(pair.distractors)].mean(0)
        scale = norm.weight / (final.var(correction=0) + norm.eps).sqrt()
        for row, node in enumerate(model.graph.senders):
            wrote = outputs[node.name][0, at]
            wanted = float((((wrote - wrote.mean()) * scale) @ towards).detach())
            assert float(found[row, number]) == pytest.approx(wanted, abs=1e-9), node


def test_effects_are_those_worked_out_on_the_hand_weighted_model() -> None:
    """At the last position of c a b a: input says -a, induction b, the mean head (1/2, 1/4, 1/4), and the bias c."""
    model = hand_weighted()
    pair = TokenPair(tuple(CLEAN[0].tolist()), tuple(CORRUPT[0].tolist()), (ScoredPosition(3, (B,), (A, C)),), TEXT)
    found = direct_logits(Problem(model, PromptPairs((pair,)), LogitDifference()))
    wanted = {"input": 1 / 2, "a0.h0": 0, "a0.h1": 0, "a1.h0": 1, "a1.h1": 1 / 4 - 3 / 8, BIASES: -1 / 2}
    assert dict(zip(found.nodes, found.effects.value.tolist(), strict=True)) == pytest.approx(wanted, abs=1e-12)
    assert np.isnan(found.effects.low).all(), "of one prompt there is no interval"
    assert found.to_json()["nodes"][3]["low"] is None
    assert found.nodes[found.strongest(1)[0]] == "a1.h0"


def test_a_control_prompt_is_never_the_prompt_itself() -> None:
    model = native_model("relu")
    problem = Problem(model, behaviour(model, (5, 5, 5, 9)), LogitDifference())
    order = another_for_each(problem, 0)
    assert sorted(order) == [0, 1, 2, 3]
    assert all(index != other for index, other in enumerate(order))
    exchanged = PromptPairs(
        tuple(
            replace(pair, scored=(replace(pair.scored[0], answers=to.answers, distractors=to.distractors),))
            for pair, to in (
                (pair, problem.pairs.pairs[order[index]]) for index, pair in enumerate(problem.pairs.pairs)
            )
        )
    )
    torch.testing.assert_close(
        direct_effects(problem, order), direct_effects(replace(problem, pairs=exchanged)), rtol=0, atol=1e-12
    )


def test_a_prompt_scored_twice_counts_as_the_mean_of_both() -> None:
    model = native_model("relu")
    pairs = behaviour(model, (6,)).pairs
    twice = replace(pairs[0], scored=(pairs[0].scored[0], ScoredPosition(5, (3,), (4,))))
    problem = Problem(model, PromptPairs((twice,)), LogitDifference())
    torch.testing.assert_close(direct_effects(problem).sum(0), problem.measure([Circuit.full(model.graph)])[0, 0])


def test_whole_answers_are_refused() -> None:
    model = native_model("relu")
    pair = behaviour(model, (6,)).pairs[0]
    scored = (ScoredPosition(5, (3,), ()), ScoredPosition(5, (), (4,)))
    problem = Problem(model, PromptPairs((replace(pair, scored=scored),)), KLDivergence())
    with pytest.raises(UnmeasurableBehaviour, match="measure their first tokens"):
        direct_logits(problem)


def test_the_picture_has_a_cell_for_every_head_and_mlp() -> None:
    for model in (native_model("relu"), native_model("attention_only")):
        found = direct_logits(Problem(model, behaviour(model, (6, 6)), LogitDifference()))
        first, control, _ = found.plot().axes
        shape = (model.graph.n_layers, model.graph.n_heads + model.graph.has_mlp)
        assert first.images[0].get_array().shape == control.images[0].get_array().shape == shape
