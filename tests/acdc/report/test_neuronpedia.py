"""A circuit as Neuronpedia's graph fits its schema, and what its viewer needs that the schema does not say."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import acdc
from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.nodes import Edge
from acdc.problem import Problem
from acdc.report.neuronpedia import ExamplePrompt, graph_json
from tests.graphs.random_circuits import random_circuits

SCHEMA = json.loads((Path(__file__).parent / "neuronpedia_graph.schema.json").read_text("utf-8"))
GRAPH = ComputationalGraph(3, 2, 8)
PROMPT = ExamplePrompt('<b>A "B"\n', ("<b>", "A", ' "B"', "\n"), 3, (17, '"x"\n'), 0.25)


def valid(data: Any) -> Any:
    """The data, once it is sure that the viewer can show it."""
    jsonschema.Draft7Validator(SCHEMA).validate(data)
    nodes, ids = data["nodes"], {node["node_id"] for node in data["nodes"]}
    assert len(ids) == len({node["jsNodeId"] for node in nodes}) == len(nodes)
    assert max(Counter((node["layer"], node["feature"], node["ctx_idx"]) for node in nodes).values()) == 1
    ends = [(link["source"], link["target"]) for link in data["links"]]
    assert {end for link in ends for end in link} == ids, "an end that is no node, or a node of no link"
    assert len(set(ends)) == len(ends), "the viewer tells links apart by their ends"
    assert {data["qParams"]["clickedId"], *data["qParams"]["pinnedIds"]} <= ids
    assert {each for _, *group in data["qParams"]["supernodes"] for each in group} <= ids
    # the viewer opens nothing whose highest layer below the logits is 0
    assert max(int(node["layer"]) for node in nodes if node["layer"] != "E" and node["feature_type"] != "logit") > 0
    assert all(node["ctx_idx"] < len(data["metadata"]["prompt_tokens"]) for node in nodes)
    return data


def scored(circuit: Circuit) -> Circuit:
    return replace(circuit, scores={edge: (-1) ** place * (place + 0.5) for place, edge in enumerate(circuit)})


@pytest.mark.parametrize("seed", range(8))
def test_any_circuit_fits_and_every_edge_is_in_one_link(seed: int) -> None:
    (names,) = random_circuits([edge.name for edge in GRAPH.edges()], 1, seed)
    circuit = scored(Circuit.from_names(GRAPH, names))
    data = valid(graph_json(circuit, PROMPT, "a <i>title</i>"))
    said = [row for link in data["links"] for row in link["edges"]]
    assert {row["edge"]: row["score"] for row in said} == {edge.name: circuit[edge] for edge in circuit}
    assert len(said) == len(circuit)
    assert all(link["weight"] == sum(row["score"] for row in link["edges"]) for link in data["links"])


def test_the_label_of_the_logits_has_the_probability_where_the_viewer_looks_for_it() -> None:
    data = valid(graph_json(scored(Circuit.full(GRAPH)), PROMPT, "t"))
    (logit,) = (node for node in data["nodes"] if node["feature_type"] == "logit")
    assert float(logit["clerp"].split("(p=")[1].split(")")[0]) == 0.25
    assert (logit["layer"], logit["feature"], logit["ctx_idx"]) == ("3", 17, 3)


def test_groups_are_supernodes_and_what_is_no_node_of_the_circuit_is_left_out() -> None:
    circuit = replace(
        scored(Circuit.full(GRAPH)),
        provenance={"groups": {"movers": ["a1.h0", "m2", "a9.h9"], "none": []}},
    )
    data = valid(graph_json(circuit, PROMPT, "t"))
    assert data["qParams"]["supernodes"] == [["movers", "1_0_3", "2_2_3"]]
    assert data["metadata"]["generation_settings"] == circuit.provenance


@pytest.mark.parametrize(
    ("circuit", "prompt", "words"),
    [
        (Circuit.from_names(GRAPH, ["input->m1", "m1->logits"]), PROMPT, "2 edges have no score, the first being"),
        (scored(Circuit.from_names(GRAPH, ["input->m0", "m0->logits"])), PROMPT, "no node of this circuit is above"),
        (scored(Circuit.full(GRAPH)), replace(PROMPT, tokens=("a",), position=0), "has 1 token, .* takes 2 at least"),
    ],
)
def test_what_the_viewer_could_not_show_is_refused(circuit: Circuit, prompt: ExamplePrompt, words: str) -> None:
    with pytest.raises(BadSetting, match=words):
        graph_json(circuit, prompt, "t")


@pytest.fixture(scope="module")
def judged() -> tuple[Circuit, Problem]:
    found = acdc.discover("periodic", goal=acdc.Threshold(2.0), setup=acdc.Setup(prompts=8)).circuit
    return found, acdc.judgement(found)


def test_the_probability_is_the_model_s_own_on_that_prompt(judged: tuple[Circuit, Problem]) -> None:
    circuit, problem = judged
    for number in (1, 3):
        example, pair = ExamplePrompt.of(problem, number), problem.pairs.pairs[number - 1]
        bridge = problem.model.bridge
        import torch

        with torch.no_grad():
            wanted = bridge(torch.tensor([pair.clean]))[0, pair.position].double().softmax(0)[pair.answers[0]]
        assert example.probability == pytest.approx(float(wanted), abs=1e-5)
        assert example.text == pair.text.clean
        assert "".join(example.tokens).replace(" ", "") == example.text.replace(" ", "")
        text = json.dumps(valid(graph_json(circuit, example, "periodic on periodic-2l")))
        assert 1024 <= len(gzip.compress(text.encode())) <= 100 << 20, "Neuronpedia takes no other uploads"


@pytest.mark.parametrize("number", [0, 9])
def test_a_prompt_that_is_not_there_is_refused(judged: tuple[Circuit, Problem], number: int) -> None:
    with pytest.raises(
        BadSetting, match=rf"--prompt is {number}; wanted the number of a judgement prompt, from 1 to 8"
    ):
        ExamplePrompt.of(judged[1], number)


def test_an_edge_keeps_its_frequency() -> None:
    circuit = replace(scored(Circuit.full(GRAPH)), frequencies={Edge.parse("m2->logits"): 0.5})
    rows = {row["edge"]: row for link in graph_json(circuit, PROMPT, "t")["links"] for row in link["edges"]}
    assert rows["m2->logits"]["frequency"] == 0.5
