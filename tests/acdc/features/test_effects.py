"""First-order effects of units are those of finite differences, and features add up to their MLP's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from acdc import tasks
from acdc.features.effects import first_order_effects
from acdc.features.named import fitted_units
from acdc.graphs.errors import BadDictionary
from acdc.graphs.features.tapped_run import put, tapped_run
from acdc.models import load_model
from acdc.problem import Problem
from acdc.tasks.metrics import metric
from acdc.tasks.models import shipped_dictionary


@pytest.fixture(scope="module")
def problem() -> Problem:
    model = load_model("everyday-4l", dtype=torch.float64)
    pairs = tasks.get("ioi").build(model.tokenizer, 8, 0).discovery
    return Problem(model, pairs, metric("logit_difference"))


@pytest.mark.parametrize("name", ["everyday-4l-m0-sae", "m0"])
def test_an_effect_is_the_slope_along_a_unit(problem: Problem, name: str) -> None:
    units = fitted_units(problem, name).units
    effects = first_order_effects(problem, units)
    unit, step, total = int(effects.abs().argmax()), 1e-4, 0.0
    for batch in problem.prompt_batches:
        rows = torch.arange(len(batch))
        with torch.no_grad():
            clean = tapped_run(problem.model, batch.clean, {units.reads, units.writes}).found
            corrupt = tapped_run(problem.model, batch.corrupt, {units.reads}).found
            change = (units.activations(clean[units.reads]) - units.activations(corrupt[units.reads]))[..., unit, None]
            found = []
            for sign in (1, -1):
                moved = clean[units.writes] + sign * step * change * units.there[unit]
                final = tapped_run(problem.model, batch.clean, (), {units.writes: put(moved)}).final
                logits = problem.model.unembedding(final[rows, batch.scored_positions])
                found.append(problem.metric(logits, batch.targets(logits)).sum())
        total += float(found[0] - found[1]) / (2 * step)
    assert total / len(problem.pairs) == pytest.approx(float(effects[unit]), rel=1e-5)
    assert abs(float(effects[unit])) > 0.01


def test_the_shipped_dictionary_fits_its_place_and_no_other(problem: Problem) -> None:
    fit = fitted_units(problem, "everyday-4l-m0-sae").fit
    assert fit is not None
    assert fit.explained > 0.85
    assert fit.recovered > 0.95
    assert fit.active == pytest.approx(12, abs=0.5)
    folder = shipped_dictionary("everyday-4l-m0-sae")
    assert folder is not None
    for hook in (
        "blocks.1.hook_mlp_out",
        "blocks.0.hook_resid_post",
        "blocks.0.hook_attn_out",
        "blocks.3.hook_mlp_out",
    ):
        with pytest.raises(BadDictionary, match=r"explains .* of the variance at " + hook.replace(".", r"\.")):
            fitted_units(problem, str(folder), hook=hook)
    anyway = fitted_units(problem, str(folder), hook="blocks.1.hook_mlp_out", anyway=True).fit
    assert anyway is not None
    assert anyway.explained < 0.1


def test_a_dictionary_of_another_width_or_depth_is_refused(problem: Problem) -> None:
    folder = shipped_dictionary("everyday-4l-m0-sae")
    with pytest.raises(BadDictionary, match="only 4 layers"):
        fitted_units(problem, str(folder), hook="blocks.4.hook_mlp_out")
    small = load_model("periodic-2l", dtype=torch.float64)
    pairs = tasks.get("periodic").build(small.tokenizer, 4, 0).discovery
    with pytest.raises(BadDictionary, match=r"reads 128 numbers .* wanted 64"):
        fitted_units(Problem(small, pairs, metric("logit_difference")), str(folder))


def test_a_metric_that_is_at_its_best_in_the_clean_run_ranks_features_too(problem: Problem) -> None:
    """By KL as by the logit difference: at the clean run itself the slope of KL is rounding, and so was the choice."""
    units = fitted_units(problem, "everyday-4l-m0-sae").units
    by_kl = first_order_effects(replace(problem, metric=metric("kl")), units).abs()
    assert by_kl.max() > 1e-2
