"""A circuit as a graph for Neuronpedia's viewer (schema 1.0 of its attribution graphs).

That viewer shows features of one prompt by layer and token. A circuit has heads and MLPs and no positions, so every
node stands at the token at which the prompt is scored, its `feature` being the number of the head (of an MLP, the
number of heads), and the one `logits` node is the prompt's answer with the probability that the model gives it. The
query, key and value edges between two nodes are one link, for the viewer tells links apart by their ends: its weight is
the sum of their scores, and `edges` has each.

Source: github.com/hijohnnylin/neuronpedia, apps/webapp/app/api/graph/graph-schema.json and what its viewer does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from acdc.attacks.measuring import written
from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.graphs.constants import without_content
from acdc.graphs.feature_names import names_in, with_names
from acdc.graphs.nodes import Edge, Node
from acdc.problem import Problem
from acdc.provenance import versions
from acdc.tasks.prompts import PromptPairs

_PINNED = 50
"""Up to so many nodes all are pinned, so that the viewer's subgraph is the circuit; of more, those in groups."""


@dataclass(frozen=True)
class ExamplePrompt:
    """A prompt in tokens, the position at which it is scored, and its answer there with the model's probability."""

    text: str
    tokens: tuple[str, ...]
    position: int
    answer: tuple[int, str]
    probability: float

    @classmethod
    def of(cls, problem: Problem, number: int = 1) -> ExamplePrompt:
        """The clean prompt of that number, from 1, of a problem; the model is run on it.

        Raises: BadSetting where there is no such prompt.
        """
        pairs = problem.pairs.pairs
        if not 1 <= number <= len(pairs):
            raise BadSetting(f"--prompt is {number}; wanted the number of a judgement prompt, from 1 to {len(pairs)}")
        pair, model = pairs[number - 1], problem.model
        one = replace(problem, pairs=PromptPairs((pair,)), carried_from=problem.carried_from or problem.pairs)
        _, logits = next(one.references())
        token = pair.answers[0]
        return cls(
            pair.text.clean,
            tuple(written(model, each) for each in pair.clean),
            pair.position,
            (token, written(model, token)),
            float(logits[0].double().softmax(0)[token]),
        )


def graph_json(circuit: Circuit, example: ExamplePrompt, title: str) -> dict[str, Any]:
    """The circuit as JSON data of that schema; what else is known of it stands under `generation_settings`.

    Raises: BadSetting where the viewer could not show it: an edge without a score, no node above layer 0, or a prompt
    of one token.
    """
    _check(circuit, example)
    ids = {node: _id(circuit, example, node) for node in circuit.nodes()}
    groups = [[name, *(ids[node] for node in nodes)] for name, nodes in _groups(circuit).items()]
    pinned = [*ids.values()] if len(ids) <= _PINNED else list(dict.fromkeys(id_ for _, *some in groups for id_ in some))
    return {
        "metadata": {
            "slug": re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "circuit",
            "scan": str(_said(circuit, "model")),
            "prompt_tokens": list(example.tokens),
            "prompt": example.text,
            "info": {
                "description": f"{title}: {len(circuit):,} of {circuit.graph.n_edges:,} edges. Nodes are heads and "
                "MLPs, which have no position: all stand at the token where the prompt is scored. A link's weight is "
                "the sum of the scores of its edges (query, key, value; of all spans, if edges are by position), which "
                "are those of all prompts and not of this one.",
                "generator": {"name": "acdc", "version": versions()["acdc-circuits"] or "not installed"},
            },
            "generation_settings": without_content(circuit.provenance),
        },
        "qParams": {
            "pinnedIds": pinned,
            "supernodes": groups,
            "linkType": "both",
            "clickedId": next(reversed(ids.values())),
        },
        "nodes": [_node(circuit, example, node) for node in ids],
        "links": _links(circuit, ids),
    }


def _check(circuit: Circuit, example: ExamplePrompt) -> None:
    if unscored := [edge.name for edge in circuit if edge not in circuit.scores]:
        raise BadSetting(
            f"{len(unscored):,} edges have no score, the first being {unscored[0]}, and each link of Neuronpedia's "
            "form has a weight; export another form (--as), or discover the circuit with scores"
        )
    if max((node.layer for node in circuit.nodes()), default=0) < 1:
        raise BadSetting(
            "no node of this circuit is above layer 0, and Neuronpedia's viewer opens no such graph; export another "
            "form (--as)"
        )
    if len(example.tokens) < 2:
        raise BadSetting(
            f"the prompt {example.text!r} has {len(example.tokens)} token, and Neuronpedia's form takes 2 at least; "
            "give another one with --prompt"
        )


def _said(circuit: Circuit, part: str) -> object:
    """The name that the circuit's record gives its model or task."""
    said = circuit.provenance.get(part)
    return said.get("name", "unnamed") if isinstance(said, Mapping) else "unnamed"


def _groups(circuit: Circuit) -> dict[str, list[Node]]:
    """The groups of nodes that the circuit's record names, less what is no node of it."""
    there = {node.name: node for node in circuit.nodes()}
    said = circuit.provenance.get("groups")
    groups = said if isinstance(said, Mapping) else {}
    found = {str(name): [there[each] for each in names if each in there] for name, names in groups.items()}
    return {name: nodes for name, nodes in found.items() if nodes}


def _place(circuit: Circuit, example: ExamplePrompt, node: Node) -> tuple[str, int, str, str]:
    """Layer, feature, type and label of a node."""
    graph = circuit.graph
    match node.kind:
        case "input":
            return "E", 0, "input", "input: the embeddings of all tokens"
        case "head":
            return str(node.layer), node.head, "attention head", node.name
        case "attention" | "resid_mid" | "mlp" | "resid_post":
            others = [each for each in graph.nodes if each.layer == node.layer and each.kind != "head"]
            kind = "mlp" if node.kind == "mlp" else "transcoder"
            named = with_names(node.name, names_in(circuit.provenance))
            return str(node.layer), graph.n_heads + others.index(node), kind, named
        case "logits":
            token, text = example.answer
            # the viewer reads the probability from between these signs, and fails without them
            return str(graph.n_layers), token, "logit", f'Output "{text}" (p={example.probability:.3f})'


def _id(circuit: Circuit, example: ExamplePrompt, node: Node) -> str:
    layer, feature, *_ = _place(circuit, example, node)
    return f"{layer}_{feature}_{example.position}"


def _node(circuit: Circuit, example: ExamplePrompt, node: Node) -> dict[str, Any]:
    layer, feature, kind, label = _place(circuit, example, node)
    probability = {"token_prob": example.probability, "is_target_logit": True} if kind == "logit" else {}
    return {
        "node_id": _id(circuit, example, node),
        "feature": feature,
        "layer": layer,
        "ctx_idx": example.position,
        "feature_type": kind,
        "jsNodeId": f"{layer}_{feature}-{example.position}",
        "clerp": label,
        **probability,
    }


def _links(circuit: Circuit, ids: Mapping[Node, str]) -> list[dict[str, Any]]:
    rows = {row["edge"]: row for row in circuit.to_json()["edges"]}
    found: dict[tuple[str, str], list[Edge]] = {}
    for edge in circuit:
        found.setdefault((ids[edge.sender], ids[edge.receiver]), []).append(edge)
    return [
        {
            "source": source,
            "target": target,
            "weight": sum(circuit.scores[edge] for edge in edges),
            "edges": [rows[edge.name] for edge in edges],
        }
        for (source, target), edges in found.items()
    ]
