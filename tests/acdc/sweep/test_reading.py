"""A grid file says what it says, or everything that is wrong with it, line by line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from acdc.attacks.plan import AttackPlan, SearchPlan
from acdc.errors import BadGridFile
from acdc.settings import Edges, KeptAccuracy, KeptFaithfulness, MeanKL, Minutes, Threshold
from acdc.sweep.form import GridForm
from acdc.sweep.reading import load_grid
from acdc.tasks.files.behaviour_file import example
from tests.acdc.hypotheses.files import claiming
from tests.acdc.sweep.grids import cells_of, checkpoint, small, write
from tests.layout import ROOT


def wrong(path: Path, *lines: str) -> list[str]:
    with pytest.raises(BadGridFile) as caught:
        load_grid(write(path / "grid.yaml", *lines))
    return str(caught.value).replace(f"{path}/", "").splitlines()


def test_mistakes_of_form_are_told_with_their_lines(tmp_path: Path) -> None:
    found = wrong(
        tmp_path,
        "tasks: []",
        "models: periodic-2l",
        "sedes: [0]",
        "settings:",
        "  prompts: 1",
        "  goal: {edges: 3, kl: 1}",
        "  metric: kll",
        "then: {attack: {bugdet: 3}}",
    )
    assert [line.split(": ")[0] for line in found] == [f"grid.yaml:{line}" for line in (1, 2, 3, 5, 6, 7, 8)]
    assert found[0].endswith("'tasks' holds nothing: got a list of 0, wanted at least one; write one.")
    assert "got 'sedes', wanted one of the known keys; did you mean 'seeds'?" in found[2]
    assert "one goal only: got edges: 3 and kl: 1, wanted one of edges, faithfulness" in found[4]


def test_what_is_named_and_is_not_there_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "test_a.acdc.yaml").write_text(claiming("  faithfulness: {at_least: 0}\n"))
    found = wrong(
        tmp_path,
        "tasks: [perodic, ioi]",
        "models:",
        "- nix/step*",
        "- periodic-2l",
        "- periodic-2l",
        "methods: [acdcc]",
        "settings: {goal: {edges: 0}}",
        "then:",
        "  stability: {resamples: 0, seeds: 0}",
        "  hypotheses: [test_a.acdc.yaml, test_none.acdc.yaml]",
    )
    assert [line.split(": ")[0] for line in found] == [f"grid.yaml:{line}" for line in (1, 2, 3, 6, 7, 8, 10, 10)]
    assert "no model matches 'nix/step*'" in found[2]
    assert "'periodic-2l' is there twice among the models" in found[1]
    assert "did you mean acdc" in found[3]
    assert "0 resamples and 0 seeds" in found[5]
    assert any("it is about 'periodic', which is none of the grid's tasks" in line for line in found)


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadGridFile, match=r"the grid file cannot be read: got 'no such file or directory'"):
        load_grid(tmp_path / "none.yaml")


def test_checkpoints_of_a_pattern_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "run [1]"  # which is no pattern itself
    for step in (10, 9, 100):
        checkpoint(folder / "ck" / f"step{step}", 0)
    (folder / "ck" / "step11").mkdir()  # no checkpoint
    grid = load_grid(small(folder, models="[periodic-2l, ck/step*]"))
    models = grid.subjects.models
    assert [model.name for model in models] == ["periodic-2l", "ck/step9", "ck/step10", "ck/step100"]
    assert models[1].found_by == str(folder / "ck/step9")


@pytest.mark.parametrize(
    ("goal", "wanted"),
    [
        ("{edges: 3}", Edges(3)),
        ("{faithfulness: 0.8}", KeptFaithfulness(0.8)),
        ("{accuracy: 1}", KeptAccuracy(1.0)),
        ("{kl: 0.1}", MeanKL(0.1)),
        ("{threshold: 0.5}", Threshold(0.5)),
        ("{minutes: 2}", Minutes(2.0)),
    ],
)
def test_every_goal_can_be_asked_for(tmp_path: Path, goal: str, wanted: object) -> None:
    (cell,) = cells_of(
        write(tmp_path / "g.yaml", "tasks: [periodic]", "models: [periodic-2l]", f"settings: {{goal: {goal}}}")
    )
    assert cell.search.goal == wanted
    assert cell.search.method.name == "acdc"


def test_what_comes_afterwards_is_of_each_cell(tmp_path: Path) -> None:
    (tmp_path / "test_a.acdc.yaml").write_text(claiming("  faithfulness: {at_least: 0}\n"))
    (tmp_path / "mine.yaml").write_text(example("mine", "everyday-4l"))
    grid = write(
        tmp_path / "g.yaml",
        "tasks: [periodic, mine.yaml]",
        "models: [periodic-2l]",
        "seeds: [3]",
        "then: {evaluate: true, attack: {budget: 7, parts: [search]}, stability: {resamples: 1, seeds: 0},",
        "       hypotheses: [test_a.acdc.yaml]}",
    )
    one, other = cells_of(grid)
    assert one.then.attack == AttackPlan(seed=3, search=SearchPlan(7), parts=("search",))
    assert one.then.stability == (1, 0)
    assert [file.name for file in one.then.hypotheses] == ["test_a.acdc.yaml"]
    assert other.task.found_by == str(tmp_path / "mine.yaml")
    assert other.then.hypotheses == (), "the file is about another task"


def test_the_grid_that_the_documentation_shows_is_one() -> None:
    shown = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "scale.md").read_text("utf-8"), re.DOTALL)
    assert len(shown) == 1
    form = GridForm.model_validate(yaml.load(shown[0], Loader=yaml.BaseLoader))  # all scalars are texts
    assert form.then.stability is not None
    assert set(GridForm.model_fields) == form.model_fields_set
    assert form.settings.model_fields_set == set(type(form.settings).model_fields), "every setting is shown"


def test_a_grid_may_ask_for_edges_by_position_and_is_the_same_cell_as_before_where_it_does_not(tmp_path: Path) -> None:
    asked = ("tasks: [periodic]", "models: [periodic-2l]")
    [plain] = cells_of(write(tmp_path / "plain.yaml", *asked))
    [by_position] = cells_of(write(tmp_path / "positions.yaml", *asked, "settings: {positions: slots}"))
    assert by_position.setup.positions == "slots"
    assert by_position.settings["setup"]["positions"] == "slots"
    assert "positions" not in plain.settings["setup"]
