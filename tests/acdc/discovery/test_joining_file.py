"""The file of joining edges gives back what was written, and nothing where it is not that."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from acdc.discovery import joining_file
from acdc.errors import BadJoiningFile
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.nodes import Edge

GRAPH = ComputationalGraph(2, 3, 8)
JOINING: dict[Edge, float] = {edge: (-1) ** n / (n + 3) for n, edge in enumerate(sorted(GRAPH.edges(), key=str))}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    joining_file.write(tmp_path / joining_file.NAME, GRAPH, JOINING)
    return tmp_path / joining_file.NAME


def test_order_and_scores_come_back(file: Path) -> None:
    assert list(joining_file.read(file, GRAPH).items()) == list(JOINING.items())
    joining_file.write(file, GRAPH, {})
    assert joining_file.read(file, GRAPH) == {}


def test_an_edge_may_have_no_score(file: Path) -> None:
    first = next(iter(JOINING))
    joining_file.write(file, GRAPH, {**JOINING, first: None})
    assert joining_file.read(file, GRAPH) == {**JOINING, first: None}


def test_another_graph_is_refused(file: Path) -> None:
    with pytest.raises(BadJoiningFile, match="is of another model's graph"):
        joining_file.read(file, ComputationalGraph(2, 3, 16))


def test_what_is_no_such_file_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(BadJoiningFile, match=r"there is no .*nothing"):
        joining_file.read(tmp_path / "nothing", GRAPH)
    tensors = load_file(file)
    save_file(tensors, file)
    with pytest.raises(BadJoiningFile, match=r"has schema None, wanted 'acdc\.joining/1'"):
        joining_file.read(file, GRAPH)
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(BadJoiningFile, match="cannot be read"):
        joining_file.read(file, GRAPH)


def test_an_edge_that_the_graph_does_not_have_is_refused(file: Path) -> None:
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as opened:
        about, tensors = opened.metadata(), {name: opened.get_tensor(name).copy() for name in ("edges", "scores")}
    tensors["edges"][0] = (0, len(GRAPH.senders) - 1)
    save_file(tensors, file, about)
    with pytest.raises(BadJoiningFile, match="an edge that the model does not have"):
        joining_file.read(file, GRAPH)
