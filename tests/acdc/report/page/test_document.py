"""What Python makes of a run: one file that asks for nothing, from which no text can break out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

from acdc.errors import BadRunFile
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import BadCircuitFile
from acdc.report.page import details
from acdc.report.page.comparison_data import comparison_data
from acdc.report.page.data import again, page_data
from acdc.report.page.document import document, script
from acdc.report.page.run_folder import RunFolder
from tests.acdc.report.page import run_folders


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_folders.strange(tmp_path_factory.mktemp("strange"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return run_folders.strange(tmp_path)


def test_the_policy_forbids_every_request_and_allows_the_very_scripts_that_are_there(strange: Path) -> None:
    html = run_folders.page_of(strange).read_text("utf-8")
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    policy = policy.replace("&#39;", "'")
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert not re.findall(r"https?:|\*", policy)
    scripts = re.findall(r"<script(?: type=\"module\")?>(.*?)</script>", html, re.DOTALL)
    styles = re.findall(r"<style[^>]*>(.*?)</style>", html, re.DOTALL)
    assert (len(scripts), len(styles)) == (2, 1)
    for text in (*scripts, *styles):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    outside = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert not re.findall(r"<(?:link|img|iframe|object|embed)\b|<[^>]*\bsrc=|@import|url\(", outside)


def test_no_text_breaks_out_of_the_data(strange: Path) -> None:
    html = run_folders.page_of(strange).read_text("utf-8")
    assert run_folders.MARKUP not in html
    assert run_folders.ENDS_SCRIPT not in html
    [held] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert "<" not in held
    assert json.loads(held) == json.loads(json.dumps(page_data(RunFolder.read(strange / "circuit.json"))))


def test_the_modules_stand_together_without_imports_and_without_two_things_of_one_name() -> None:
    program = script()
    assert not re.findall(r"^(?:import|export)\b", program, re.MULTILINE)
    names = re.findall(r"^(?:async )?(?:function|const|let|class) (\w+)", program, re.MULTILINE)
    assert sorted(names) == sorted(set(names))


def test_the_circuits_of_all_sizes_are_those_that_were_measured(tmp_path: Path) -> None:
    folder = run_folders.large(tmp_path, 400)
    data = page_data(RunFolder.read(folder / "circuit.json"))
    sizes, graph = json.loads((folder / "details.json").read_text())["sizes"], data["graph"]
    assert [one["faithfulness"] for one in graph["sizes"]] == [one["faithfulness"] for one in sizes]
    shown: set[int] = set()
    for one in graph["sizes"]:
        shown = (shown - set(one["leaves"])) | set(one["joins"])
        assert len(shown) == one["edges"] == one["faithfulness"]["size"]["edges"]
        placed = {node for _, row in one["rows"] for node, _ in row}
        assert placed == {node for edge in shown for node in graph["edges"][edge][:2]}
    assert graph["sizes"][graph["opens"]]["edges"] == 58
    assert graph["sizes"][-1]["found"]


def test_a_page_of_300_edges_is_below_3_mb_and_of_9000_below_10(tmp_path: Path) -> None:
    for count, limit in ((300, 3e6), (9216, 10e6)):
        folder = tmp_path / str(count)
        folder.mkdir()
        circuit = Circuit.load(run_folders.large(folder, count) / "circuit.json")
        said = run_folders.details(circuit, [list(range(count))], [run_folders.outcome("A")])
        heads = {node.name: [["rs" * 24 * 24] * 2] * 4 for node in circuit.heads()}
        said["examples"] = {
            "prompts": [{"clean": ["a"] * 24, "corrupt": ["b"] * 24}] * 4,
            "heads": heads,
            "promotes": {},
        }
        (folder / "details.json").write_text(json.dumps(said))
        assert run_folders.page_of(folder).stat().st_size < limit


def test_without_details_only_the_circuit_that_was_found_is_shown_and_the_command_is_named(folder: Path) -> None:
    (folder / details.NAME).unlink()
    data = page_data(RunFolder.read(folder / "circuit.json"))
    assert [one["edges"] for one in data["graph"]["sizes"]] == [4]
    commands = [one["command"] for one in data["lacking"]]
    assert f"acdc report {folder}" in commands
    assert f"acdc attack {folder}" in commands
    assert f"acdc stability {folder}" in commands
    assert f"acdc evaluate {folder} --full" in commands
    assert f"acdc test {folder}" in commands
    assert f"acdc explain {folder}" in commands


@pytest.mark.parametrize(
    ("name", "text", "how"),
    [
        ("details.json", "{", "Expecting property name"),
        ("details.json", "[]", "does not name the schema"),
        ("attack.json", '{"schema": "acdc.attack/1"}', "circuit: field required"),
        ("evaluation.json", "", "Expecting value"),
        ("claims.json", '{"claims": 3}', "claims: input should be a valid list"),
        ("view.json", '{"schema": "other"}', "does not name the schema"),
    ],
)
def test_a_damaged_file_is_one_clear_message(folder: Path, name: str, text: str, how: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(BadRunFile, match=rf"{name} is damaged.*{how}.*move it away and make it again"):
        RunFolder.read(folder / "circuit.json")


def test_a_damaged_circuit_is_refused_as_everywhere(folder: Path) -> None:
    (folder / "circuit.json").write_text("{")
    with pytest.raises(BadCircuitFile):
        RunFolder.read(folder / "circuit.json")


def test_a_file_of_another_circuit_is_told_of_and_not_shown(folder: Path) -> None:
    circuit = Circuit.load(folder / "circuit.json")
    circuit.strongest(2).save(folder / "circuit.json")
    run = RunFolder.read(folder / "circuit.json")
    assert details.NAME not in run.files
    assert any(one.why == "details.json is of another circuit" for one in run.lacking)


def test_what_was_measured_on_other_prompts_is_not_shown_as_this_circuit_s(folder: Path) -> None:
    said = json.loads((folder / details.NAME).read_text())
    (folder / details.NAME).write_text(json.dumps({**said, "measurement": {"ablation": "zero"}}))
    run = RunFolder.read(folder / "circuit.json")
    assert details.NAME not in run.files
    assert any("measured with another model" in one.why for one in run.lacking)


def test_the_command_that_finds_it_again_says_all_that_the_record_does(strange: Path) -> None:
    circuit = run_folders.repainted(
        Circuit.load(strange / "circuit.json"),
        task={"name": "ioi", "file": "my behaviour.yaml"},
        algorithm={
            "name": "eap-ig",
            "goal": {"kind": "Threshold", "value": 0.1234567890123},
            "settings": {"name": "eap-ig", "steps": 9, "select": "greedy"},
        },
    )
    found = RunFolder.read(strange / "circuit.json").findings.of(circuit)
    assert again(found) == (
        "acdc discover 'my behaviour.yaml' --model smollm2-135m --method eap-ig --threshold 0.1234567890123 "
        "--select greedy --steps 9 --metric logit_difference --ablation resample --prompts 2 --seed 0"
    )


def test_roles_come_from_the_circuit_s_file_and_from_explain_json_of_this_circuit(folder: Path) -> None:
    circuit = Circuit.load(folder / "circuit.json")
    own = circuit.to_json()["roles"]
    said = run_folders.explanation(circuit)
    (folder / "explain.json").write_text(json.dumps(said))
    data = page_data(RunFolder.read(folder / "circuit.json"))
    assert data["roles"] == {**said["roles"], **own}
    assert data["explanation"]["checks"] == said["checks"]
    assert "each head" not in str(data["lacking"])
    circuit.strongest(3).save(folder / "circuit.json")
    data = page_data(RunFolder.read(folder / "circuit.json"))
    assert data["explanation"] is None
    assert any(one["why"] == "explain.json is of another circuit" for one in data["lacking"])
    (folder / "explain.json").write_text(json.dumps({**said, "roles": {"a0.h0": {"role": 3}}}))
    with pytest.raises(BadRunFile, match=r"explain.json is damaged.*roles.a0.h0.role"):
        RunFolder.read(folder / "circuit.json")


def test_a_comparison_says_of_every_edge_whose_it_is(tmp_path: Path) -> None:
    runs = []
    for name, keep in (("a", 3), ("b", 4)):
        folder = tmp_path / name
        folder.mkdir()
        run_folders.strange(folder)
        Circuit.load(folder / "circuit.json").strongest(keep).save(folder / "circuit.json")
        runs.append(RunFolder.read(folder / "circuit.json"))
    data = comparison_data(runs[1], runs[0], None, "not measured")
    graph = data["graph"]
    assert sorted(graph["sides"]) == ["both", "both", "both", "first"]
    assert [scores[1] is None for scores in graph["scores"]] == [side == "first" for side in graph["sides"]]
    assert data["compared"]["jaccard"] == 0.75
    assert data["compared"]["unmeasured"] == "not measured"
    document(data)
