"""A grid's cells, in an order that loads each model once, and their shards."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from acdc.errors import BadSetting
from acdc.sweep.grid import Shard, default_folder
from tests.acdc.sweep.grids import cells_of, write


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(
        tmp_path_factory.mktemp("grid") / "grid.yaml",
        "tasks: [periodic, ioi]",
        "models: [periodic-2l, everyday-4l]",
        "methods: [acdc, eap]",
        "seeds: [0, 1, 2]",
    )


def test_cells_on_one_model_follow_each_other_and_none_is_there_twice(grid: Path) -> None:
    cells = cells_of(grid)
    assert len({cell.hash for cell in cells}) == len(cells) == 24
    assert [name for name, _ in groupby(cell.model.name for cell in cells)] == ["periodic-2l", "everyday-4l"]


@pytest.mark.parametrize("of", [1, 2, 5, 24, 30])
def test_shards_together_are_all_cells_each_once(grid: Path, of: int) -> None:
    every = cells_of(grid)
    assert [cell for number in range(1, of + 1) for cell in Shard(number, of).cells(every)] == list(every)


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "-1/2", "a/b", "1/2/3", "1/0"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(BadSetting, match="wanted I/N"):
        Shard.parse(text)
    assert Shard.parse("2/3") == Shard(2, 3)


def test_results_go_where_the_grid_is_named_after() -> None:
    assert default_folder(Path("a/nightly.yaml")) == Path("runs/sweep-nightly")
