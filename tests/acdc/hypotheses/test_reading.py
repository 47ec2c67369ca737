"""A hypothesis file is read as it is meant, and every mistake in it is told with its line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from acdc import tasks
from acdc.errors import BadHypothesisFile
from acdc.graphs.circuit import Circuit
from acdc.graphs.configuration import graph_of_checkpoint
from acdc.hypotheses.hypothesis import Listed
from acdc.hypotheses.reading import load
from acdc.settings import Setup
from tests.acdc.hypotheses.files import EDGES, HOLDS, changed, claiming, write


def told(file: Path, model: str | None = None) -> list[str]:
    """What is wrong with the file: each time the line and the message."""
    with pytest.raises(BadHypothesisFile) as refused:
        load(file, model)
    return [problem.replace(f"{file}:", "", 1) for problem in refused.value.problems]


def saved(directory: Path, **provenance: object) -> Path:
    """The circuit as a file."""
    graph = graph_of_checkpoint(tasks.shipped_model("periodic-2l"))
    assert graph is not None
    file = directory / "circuit.json"
    circuit = Circuit.from_names(graph, EDGES)
    Circuit(graph, circuit.edges, {}, provenance).save(file)
    return file


def test_a_file_is_read_as_it_is_meant(tmp_path: Path) -> None:
    hypothesis = load(write(tmp_path))
    assert hypothesis.subject.task.name == "periodic"
    assert (hypothesis.subject.model, hypothesis.subject.setup) == ("periodic-2l", Setup(prompts=16))
    assert isinstance(hypothesis.circuit, Listed)
    assert [name for name, _ in hypothesis.circuit.names] == list(EDGES)
    assert [(c.name, c.bound.low, c.bound.high) for c in hypothesis.claims] == [
        ("behaviour", 0.9, None),
        ("faithfulness", 0.8, None),
        ("size", None, 6),
    ]
    assert hypothesis.claims[1].place == f"{hypothesis.path}:8"


def test_the_model_is_the_tasks_own_if_none_is_named_and_the_callers_if_one_is_given(tmp_path: Path) -> None:
    file = write(tmp_path, changed("model: periodic-2l\n", ""))
    assert load(file).subject.model == "periodic-2l"
    assert load(file, str(tasks.shipped_model("periodic-2l"))).subject.model.endswith("models/periodic-2l")


def test_paths_are_from_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here" / "checkpoint").mkdir(parents=True)
    for source in filter(Path.is_file, tasks.shipped_model("periodic-2l").iterdir()):
        (tmp_path / "here" / "checkpoint" / source.name).write_bytes(source.read_bytes())
    saved(tmp_path / "here")
    text = re.sub(r"circuit: .*", "circuit: circuit.json", HOLDS).replace("periodic-2l", "checkpoint")
    hypothesis = load(write(tmp_path / "here", text))
    assert Path(hypothesis.subject.model) == tmp_path / "here" / "checkpoint"
    assert isinstance(hypothesis.circuit, Circuit)
    assert len(hypothesis.circuit) == 6


def test_a_circuits_own_setup_holds_where_the_file_says_nothing(tmp_path: Path) -> None:
    saved(
        tmp_path,
        metric={"name": "kl"},
        ablation="zero",
        prompts={"count": 5, "seed": 7},
        model={"name": "periodic-2l", "dtype": "float64"},
    )
    text = re.sub(r"circuit: .*", "circuit: circuit.json", HOLDS)
    assert load(write(tmp_path, text)).subject.setup == Setup("kl", "zero", 16, 7).on(dtype="float64")


def test_other_tasks_are_measured_by_their_own_metric_on_the_same_model(tmp_path: Path) -> None:
    text = claiming("  specificity:\n    ioi: {at_most: 0.1}\n    addition: {at_most: 0.2, metric: accuracy}\n")
    first, second = load(write(tmp_path, text)).claims
    assert (first.name, second.name) == ("specificity[ioi]", "specificity[addition]")
    assert first.other is not None
    assert second.other is not None
    assert (first.other.setup, first.other.model) == (Setup(prompts=16), "periodic-2l")
    assert second.other.setup.metric == "accuracy"


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("task: periodic", "task: periodical", "2: unknown task: got 'periodical'.*did you mean 'periodic'"),
        ("task: periodic\n", "", "1: missing key: got nothing, wanted 'task'; add 'task'"),
        ("task: periodic", "task: here/mine.yaml", "2: .*cannot be read"),
        ("model: periodic-2l", "model: periodic-3l", "3: no model called 'periodic-3l'.*did you mean periodic-2l"),
        ('"a1.h0->logits"', '"a1.h0-logits"', "4: no node is called 'a1.h0-logits'; nodes are written"),
        ('"a1.h0->logits"', '"a2.h*->logits"', r"4: 'a2\.h\*->logits' is no edge of this model: it has 2 layers"),
        ('"a1.h0->logits"', "[m0]", r"4: 'circuit\.5' is wrong: got a list of 1, wanted a text"),
        ("prompts: 16", "prompts: 1", r"5: 'setup\.prompts' is wrong: got '1', wanted greater than or equal to 2"),
        ("prompts: 16", "metric: KL", r"5: 'setup\.metric' is wrong: got 'KL', wanted .* did you mean 'kl'\?"),
        (
            "prompts: 16",
            "promts: 16",
            "5: unknown key: got 'promts', wanted one of the known keys; did you mean 'prompts'",
        ),
        ("{prompts: 16}", "16", "5: 'setup' is wrong: got '16', wanted a mapping with some of metric, ablation"),
        ("  size: {at_most: 6}", "  sise: {at_most: 6}", "9: unknown key: got 'sise'.*did you mean 'size'"),
        ("{at_most: 6}", "{}", "9: this claim has no bound: got no key, wanted at_least, at_most or both.*add one"),
        ("{at_most: 6}", "{at_most: six}", r"9: 'claims\.size\.at_most' is wrong: got 'six', wanted a valid number"),
        ("{at_most: 6}", "{at_most: .inf}", r"9: 'claims\.size\.at_most' is wrong: got '\.inf'"),
        ("{at_most: 6}", "{at_most: 6, tolerance: 1}", "9: this claim has two kinds of bound.*remove the tolerance"),
        ("{at_most: 6}", "{at_most: 6, at_least: 7}", "9: no value can be within these bounds"),
        ("{at_most: 6}", "{tolerance: -1}", r"9: 'claims\.size\.tolerance' is wrong.*greater than or equal to 0"),
        ("{at_most: 6}", "6", "9: 'claims.size' is wrong: got '6', wanted a mapping with some of at_least"),
        ("{at_most: 6}", "{at_most: 6}\nclaims: {}", "10: a key is given twice: got 'claims'"),
        ("{at_most: 6}", "{at_most: 6", "1[0-9]: this is not YAML"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_a_remedy(tmp_path: Path, old: str, new: str, wanted: str) -> None:
    first, *_ = told(write(tmp_path, changed(old, new)))
    assert re.match(wanted, first), first


@pytest.mark.parametrize(
    ("claims", "wanted"),
    [
        ("  {}\n", "6: nothing is claimed: got no key, wanted at least one of behaviour.*add one"),
        ("  specificity: {at_most: 1}\n", "7: 'claims.specificity.at_most' is wrong: got '1', wanted a mapping with"),
        ("  specificity:\n    iio: {at_most: 1}\n", "8: unknown task: got 'iio'"),
        ("  specificity:\n    ioi: {at_mots: 1}\n", "8: unknown key: got 'at_mots'.*did you mean 'at_most'"),
        ("  roles: {m0: induction}\n", "7: 'm0' is no head; roles are those of heads"),
        ("  roles: {a1.h0: inducting}\n", "7: .*'inducting'.*did you mean 'induction'"),
        ("  roles: induction\n", "7: 'claims.roles' is wrong: got 'induction', wanted a mapping; write for each head"),
        ("  specificity: 3\n", "7: 'claims.specificity' is wrong: got '3', wanted a mapping; write for each task"),
        ("  edges: {against: other.json, at_least: 1}\n", "7: no circuit can be read from .*other.json"),
        ("  counterexamples: {at_most: 1}\n", "7: missing key in 'claims.counterexamples': .* add 'prompts'"),
        (
            "  counterexamples: {at_most: 1, prompts: 3}\n",
            r"7: 'claims\.counterexamples\.prompts' is wrong: .* a list;",
        ),
        ("  counterexamples: {at_most: 1, prompts: [3]}\n", "7: .* wanted a mapping with some of clean, .*`{...}`"),
        ("  counterexamples:\n    at_most: 1\n    prompts:\n    - {clean: a}\n", "10: missing key .*'answer'"),
    ],
)
def test_a_mistake_in_a_claim_is_told_with_its_line(tmp_path: Path, claims: str, wanted: str) -> None:
    first, *_ = told(write(tmp_path, claiming(claims)))
    assert re.match(wanted, first), first


def test_all_mistakes_are_told_together_in_the_order_of_their_lines(tmp_path: Path) -> None:
    text = HOLDS.replace("periodic-2l", "nobody").replace("a1.h0->logits", "x").replace("at_most: 6", "at_mots: 6")
    lines = [
        int(problem.partition(":")[0]) for problem in told(write(tmp_path, text.replace("periodic\n", "perodic\n")))
    ]
    assert lines == [2, 3, 4, 9]


def test_every_missing_key_is_told(tmp_path: Path) -> None:
    wanted = [f"1: missing key: got nothing, wanted '{key}'; add '{key}'." for key in ("circuit", "claims", "task")]
    assert told(write(tmp_path, "about: nothing\n")) == wanted


def test_a_circuit_of_another_model_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    saved(tmp_path)
    text = re.sub(r"circuit: .*", "circuit: circuit.json", HOLDS)
    file = write(tmp_path, text)
    [problem] = told(file, "everyday-4l")
    assert problem.startswith(
        "4: the circuit is of a model with 2 layers, 4 heads per layer and MLPs and width 64, but "
    )
    against = claiming("  edges: {against: circuit.json, at_least: 1}\n").replace("periodic-2l", "everyday-4l")
    [problem] = told(write(tmp_path, against.replace("a1.h0->logits", "m0->logits")))
    assert problem.startswith("7: the circuit is of a model with 2 layers")


def test_names_are_checked_where_the_models_graph_is_not_known(tmp_path: Path) -> None:
    text = changed("model: periodic-2l", "model: gpt2").replace("a1.h0->logits", "a11.h0->logitss")
    [problem] = told(write(tmp_path, text))
    assert problem.startswith("4: no edge is called 'a11.h0->logitss'")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("", "this is no hypothesis file: got an empty file"), ("- 1", "this is no hypothesis file: got a list of 1")],
)
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str, wanted: str) -> None:
    [problem] = told(write(tmp_path, text))
    assert wanted in problem
    assert problem.endswith("see `acdc schema` for what may stand in it.")


@pytest.mark.parametrize("text", ["not JSON", "{}", json.dumps({"schema": "acdc.baseline/0", "claims": {}}), "[]"])
def test_baselines_that_cannot_be_read_are_refused_with_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "test_periodic.acdc.baseline.json").write_text(text)
    [problem] = told(write(tmp_path))
    assert "test_periodic.acdc.baseline.json: these baselines cannot be read" in problem
    assert problem.endswith("restore the file, or delete it and record them anew")


def test_a_gguf_file_beside_it_may_be_the_model(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF")
    assert load(write(tmp_path, changed("periodic-2l", "tiny.gguf"))).subject.model == str(tmp_path / "tiny.gguf")
