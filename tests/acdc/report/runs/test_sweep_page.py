"""The page of a grid: its matrix, and how each behaviour's circuit changes; served where a folder is a grid's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from acdc.report.runs.listing import RunList
from acdc.report.runs.serving import RunServer
from acdc.report.runs.sweep_page import sweep_document
from tests.acdc.report.runs.test_serving import EVIL, Page, asked, serving


@pytest.fixture
def folder(swept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(swept, tmp_path / "sweep"))


@pytest.fixture
def server(folder: Path) -> Iterator[RunServer]:
    with serving(folder) as made:
        yield made


def shown(folder: Path) -> Page:
    made = sweep_document(RunList.of(folder, {}))
    assert made is not None
    return Page(made[0])


def test_the_page_of_a_grid_is_served_and_the_list_beside_it(server: RunServer) -> None:
    status, headers, text = asked(server, "/")
    assert (status, "script-src" in headers["Content-Security-Policy"]) == (200, False)
    page = Page(text)
    assert "Faithfulness by eap-ig" in page.texts
    assert "/runs" in page.links
    status, _, text = asked(server, "/runs")
    assert (status, "6 runs, newest first" in text) == (200, True)


def test_a_model_that_hardly_does_it_has_no_shade_and_the_first_that_does_is_named(folder: Path) -> None:
    page = shown(folder)
    assert page.texts.count("model hardly does it") == 1
    assert page.texts[page.texts.index("The first model that shows the behaviour: ") + 1] == "ck/step2"
    assert sum(" came, " in text for text in page.texts) >= 2


def test_what_has_no_circuit_says_why_as_text(folder: Path) -> None:
    sweep = json.loads((folder / "sweep.json").read_text())
    cell = sweep["cells"][0]
    shutil.rmtree(folder / "cells" / cell["cell"])
    record = {"settings": cell["settings"], "status": "failed", "message": EVIL}
    (folder / "cells" / f"{cell['cell']}.failed.json").write_text(json.dumps(record))
    page = shown(folder)
    assert any(EVIL in text for text in page.texts)
    assert "img" not in page.elements
    assert "1 of 2 seeds" in page.texts


def test_a_cell_links_to_its_page(folder: Path) -> None:
    one, *others = (path for path in sorted((folder / "cells").iterdir()))
    (one / "report.html").write_text("its page")
    links = {link for link in shown(folder).links if link.startswith("/run/")}
    assert links == {f"/run/cells/{path.name}/report.html" for path in (one, *others)}
    with serving(folder) as server:
        assert asked(server, f"/run/cells/{one.name}/report.html")[2] == "its page"
        status, _, text = asked(server, f"/run/cells/{others[0].name}/report.html")
    assert (status, "periodic" in text) == (200, True)


def test_a_damaged_grid_is_told(folder: Path) -> None:
    (folder / "sweep.json").write_text("{")
    with serving(folder) as server:
        status, _, text = asked(server, "/")
    assert status == 500
    assert "sweep.json is damaged" in text


def test_another_folder_is_no_grids(tmp_path: Path) -> None:
    assert sweep_document(RunList.of(tmp_path, {})) is None
