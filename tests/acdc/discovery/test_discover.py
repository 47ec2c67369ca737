"""A behaviour in, a circuit out: the same one for the same seed, judged on prompts it was not found on."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

import acdc
from acdc import tasks
from acdc.algorithms.greedy import GreedyPruning
from acdc.discovery.defaults import default_directory, measured_for
from acdc.discovery.search import search
from acdc.errors import BadSetting, UnknownModel
from acdc.graphs.ablation import Ablation
from acdc.graphs.model import Model
from acdc.judges.faithfulness import faithfulness
from acdc.judges.findings import Findings
from acdc.methods import METHODS
from acdc.models import load_named
from acdc.problems import problems
from acdc.progress import Progress
from acdc.provenance import Provenance
from acdc.report.table import summary
from acdc.settings import Goal, Setup, Threshold
from acdc.tasks.errors import BadPrompts, UnknownTask
from acdc.tasks.files.behaviour_file import example
from tests.acdc.algorithms.walks import ended
from tests.acdc.discoveries import SETUP, periodic


def test_the_circuit_is_that_of_the_discovery_prompts_judged_on_the_others(found: acdc.Result) -> None:
    model = load_named("periodic-2l", SETUP)
    discovery, judgement = problems(tasks.get("periodic"), model, SETUP)
    assert not {pair.clean for pair in discovery.pairs.pairs} & {pair.clean for pair in judgement.pairs.pairs}
    assert (len(discovery.pairs), len(judgement.pairs)) == (6, 6)
    circuit = GreedyPruning(0.4).discover(discovery).circuit.pruned()
    assert 0 < len(found.circuit) < model.graph.n_edges
    assert found.circuit == circuit
    assert found.circuit.scores == circuit.scores
    assert found.faithfulness == faithfulness(judgement, circuit, SETUP.seed)
    assert found.faithfulness != faithfulness(discovery, circuit, SETUP.seed)


def test_a_result_and_its_curve_show_themselves_in_a_notebook(found: acdc.Result) -> None:
    shown = found._repr_html_()
    assert "<svg" in shown
    assert "&lt;Circuit: " in shown
    assert "<Circuit" not in shown
    table = found.curve.to_pandas()
    assert [*table["edges"]] == [point.edges for point in found.curve]
    assert [*table["faithfulness"]] == [point.faithfulness for point in found.curve]
    assert "<table" in found.curve._repr_html_()
    assert found.curve == tuple(found.curve)


def test_a_seed_gives_the_same_circuit_scores_and_faithfulness_again(found: acdc.Result) -> None:
    again = periodic()
    assert again == found
    assert again.circuit.scores == found.circuit.scores
    assert {**again.circuit.provenance, "created": ""} == {**found.circuit.provenance, "created": ""}


def test_another_seed_draws_other_prompts(found: acdc.Result) -> None:
    other = periodic(replace(SETUP, seed=4))
    for side in ("discovery", "judgement"):
        assert other.circuit.provenance["prompts"][side] != found.circuit.provenance["prompts"][side]


def test_metric_and_ablation_are_those_of_the_setup() -> None:
    setup = Setup(metric="kl", ablation="mean", prompts=4)
    result = acdc.discover("periodic", goal=Threshold(0.5), setup=setup)
    assert result.circuit.provenance["metric"]["name"] == "kl"
    assert result.circuit.provenance["ablation"] == "mean"
    assert result.faithfulness.metric == result.faithfulness.kl
    problem, _ = problems(tasks.get("periodic"), load_named("periodic-2l", setup), setup)
    assert problem.ablation is Ablation.MEAN


def test_who_watches_hears_of_every_receiver() -> None:
    seen: list[Progress] = []
    result = acdc.discover("periodic", goal=Threshold(2.0), setup=Setup(prompts=3), watch=seen.append)
    total = len(result.circuit.graph.receivers)
    assert [progress.done for progress in seen[:-1]] == list(range(1, total + 1))
    assert (seen[-1].stage, seen[-1].done) == ("judging the circuit on 3 prompts", 0)


def test_prompts_as_token_ids_need_no_tokenizer() -> None:
    model = load_named("periodic-2l", SETUP)
    pairs = tasks.get("periodic").build(model.tokenizer, 4, 0)
    every = (*pairs.discovery.pairs, *pairs.judgement.pairs)
    prompts = tasks.TokenPrompts(
        clean=[pair.clean for pair in every],
        corrupt=[pair.corrupt for pair in every],
        answers=[pair.answers for pair in every],
        distractors=[pair.distractors for pair in every],
        positions=[pair.position for pair in every],
    )
    ids = tasks.Task("ids", tasks.About("Periodic, as token ids."), "periodic-2l", "logit_diff", prompts)
    result = acdc.discover(ids, replace(model, tokenizer=None), goal=Threshold(1.0), setup=Setup(prompts=4))
    assert result.circuit.edges
    assert result.circuit.provenance["metric"]["name"] == "logit_difference"
    with pytest.raises(BadPrompts, match="needs a tokenizer"):
        acdc.discover("periodic", replace(model, tokenizer=None), setup=Setup(prompts=4))


def test_an_answer_that_the_model_has_no_logit_for_is_refused() -> None:
    model = load_named("periodic-2l", SETUP)
    outputs = model.unembedding.weight.shape[0]
    prompts = tasks.TokenPrompts([[1, at] for at in range(2, 6)], [[1, 7]] * 4, [outputs] * 4, [2] * 4)
    ids = tasks.Task("ids", tasks.About("Out of range."), "periodic-2l", "logit_diff", prompts)
    with pytest.raises(BadPrompts, match=rf"no logit for an answer .* got the ids \[{outputs}\], wanted ids below"):
        acdc.discover(ids, model, setup=Setup(prompts=2))


def test_a_behaviour_file_that_the_tokenizer_cannot_express_is_refused_before_the_weights_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(name: str, setup: Setup) -> Model:
        raise AssertionError("the weights are loaded")

    monkeypatch.setattr("acdc.discovery.discover.load_named", never)
    (tmp_path / "mine.yaml").write_text(example("mine").replace('" are"', '" are not"', 1))
    with pytest.raises(BadPrompts, match=r"mine.yaml:\d+: the answer is not one token: got ' are not'"):
        acdc.discover(tmp_path / "mine.yaml")


def test_a_task_made_in_python_runs_on_its_own_model(checkpoints_task: tasks.Task) -> None:
    result = acdc.discover(checkpoints_task, goal=Threshold(1.0), setup=Setup(prompts=3))
    assert result.circuit.provenance["task"]["name"] == "mine"
    assert result.circuit.provenance["task"]["file"] is None


@pytest.fixture
def checkpoints_task() -> tasks.Task:
    """The periodic behaviour by another name that no registry knows."""
    return replace(tasks.get("periodic"), name="mine")


def test_a_file_that_is_called_like_a_task_is_not_taken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "periodic").write_text("not a behaviour file")
    monkeypatch.chdir(tmp_path)
    result = acdc.discover("periodic", goal=Threshold(2.0), setup=Setup(prompts=3))
    assert result.circuit.provenance["task"]["file"] is None


def test_an_unknown_method_task_or_model_is_told_the_nearest() -> None:
    with pytest.raises(BadSetting, match="unknown method 'acd'; did you mean acdc"):
        acdc.discover("periodic", method="acd")
    with pytest.raises(UnknownTask, match="did you mean 'periodic'"):
        acdc.discover("periodc")
    with pytest.raises(UnknownModel, match="did you mean periodic-2l"):
        acdc.discover("periodic", "periodic2l")


@pytest.mark.parametrize("method", ["hisp", "information-flow", "random"])
def test_a_method_says_what_its_scores_are(method: str) -> None:
    setup = Setup(prompts=4)
    found = acdc.discover("periodic", method=method, goal=acdc.Edges(30), setup=setup)
    assert 0 < len(found.circuit) <= 30
    said = found.circuit.provenance["algorithm"]["score"]
    assert said == METHODS[method].scores.meaning != METHODS["acdc"].scores.meaning


@pytest.mark.parametrize(("method", "kind"), [("exact", "effect"), ("eap", "estimate"), ("hisp", "estimate")])
def test_what_no_removal_measured_is_called_an_estimate(method: str, kind: str, tmp_path: Path) -> None:
    found = acdc.discover("periodic", method=method, goal=10, setup=Setup(prompts=4)).circuit
    record = found.provenance["algorithm"]
    assert record["score_kind"] == kind
    assert record["score"].startswith("estimate") == (kind == "estimate")
    acdc.render(found, tmp_path / "circuit.dot")
    assert ("estimate: removing it hurts the behaviour" in (tmp_path / "circuit.dot").read_text()) == (kind != "effect")
    shown = StringIO()
    Console(file=shown, width=200).print(*summary(Findings.of(found), 10))
    assert ("score: estimate, to first order" in shown.getvalue()) == (kind == "estimate")


@pytest.mark.parametrize("method", ["eap", "eap-ig", "eap-ig-activations", "hisp"])
def test_no_first_order_method_claims_to_know_an_effect(method: str) -> None:
    scores = METHODS[method].scores
    assert (scores.kind, scores.meaning[:8]) == ("estimate", "estimate")


@pytest.mark.parametrize(
    ("goal", "method", "metric"),
    [
        (acdc.MeanKL(0.1), "acdc", "kl"),
        (acdc.KeptAccuracy(), "eap+acdc", "kl"),
        (acdc.MeanKL(0.1), "eap", None),
        (acdc.KeptFaithfulness(), "acdc", None),
    ],
)
def test_pruning_to_a_level_measures_by_kl_unless_told_otherwise(goal: Goal, method: str, metric: str | None) -> None:
    how = acdc.Method(method)
    assert measured_for(goal, how, SETUP) == replace(SETUP, metric=metric)
    assert measured_for(goal, how, replace(SETUP, metric="nll")).metric == "nll"


@pytest.mark.parametrize("goal", [acdc.MeanKL(0.2), acdc.KeptAccuracy(0.75)])
def test_a_goal_is_recorded_and_read_back(goal: Goal) -> None:
    found = acdc.discover("periodic", method="eap", goal=goal, setup=Setup(prompts=4)).circuit
    assert Provenance.of(found).search() == (acdc.Method("eap"), goal)


def test_what_is_public_says_what_it_is_in_a_few_words(found: acdc.Result) -> None:
    problem = acdc.judgement(found.circuit)
    task = tasks.get("ioi")
    for value in (
        *(found, found.circuit, found.faithfulness, problem, problem.model, problem.pairs, problem.batches[0]),
        *(problem.batches[0].runs, problem.prompt_batches[0], task, task.prompts, task.slots, problem.graph),
        *(acdc.minimality(problem, found.circuit), acdc.Setup(), acdc.Method()),
    ):
        assert len(repr(value)) < 500, type(value)
    assert f"{len(found.circuit)} of 110 edges" in repr(found)
    assert f"keep {found.faithfulness.normalised.value:.1%}" in repr(found)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_searches_for_the_goal(method: str) -> None:
    assert search(acdc.Method(method), Threshold(1.0)).goal == Threshold(1.0)


def test_what_is_drawn_is_drawn_with_the_seed_of_the_setup() -> None:
    drawn = [
        acdc.discover("periodic", method="random", goal=Threshold(0.3), setup=Setup(prompts=3, seed=s)) for s in (5, 6)
    ]
    problem, _ = problems(tasks.get("periodic"), load_named("periodic-2l", SETUP), SETUP)
    for seed, found in zip((5, 6), drawn, strict=True):
        scores = ended(acdc.Chance(seed).walk(problem)).scores
        assert found.circuit.scores == {edge: scores[edge] for edge in found.circuit.edges} != {}


def test_the_default_directory_names_task_and_model(tmp_path: Path) -> None:
    assert default_directory("ioi", "gpt2") == Path("runs/ioi-gpt2")
    assert default_directory("ioi", "Qwen/Qwen2.5-0.5B") == Path("runs/ioi-Qwen--Qwen2.5-0.5B")
    assert default_directory("tracr_reverse", "tracr:reverse") == Path("runs/tracr_reverse-tracr-reverse")
    (tmp_path / "mine").mkdir()
    assert default_directory("ioi", str(tmp_path / "mine")) == Path("runs/ioi-mine")
    (tmp_path / "model.Q4_1.gguf").write_bytes(b"GGUF")
    assert default_directory("ioi", str(tmp_path / "model.Q4_1.gguf")) == Path("runs/ioi-model.Q4_1")
