"""A run's page in a notebook is the page itself, shut off from the notebook."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest

from acdc.discovery.discover import Result
from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.progress import CurvePoints
from acdc.report.frame import PageFrame, page
from acdc.report.page.data import faithfulness_of
from tests.acdc.report.page import run_folders

TEXT = '<p title="a">é </iframe><script>alert(1)</script>\n'


def test_the_frame_holds_the_page_and_nothing_of_the_page_stands_outside(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(TEXT, "utf-8")
    for given in (tmp_path, str(tmp_path / "report.html")):
        shown = page(given, height=400)._repr_html_()
        (held,) = re.findall(r'src="data:text/html;charset=utf-8;base64,([A-Za-z0-9+/=]+)"', shown)
        assert base64.b64decode(held).decode() == TEXT
        assert "script>" not in shown
        assert re.findall(r'sandbox="([^"]*)"', shown) == ["allow-scripts allow-downloads"]
        assert "height: 400px" in shown


def test_a_run_without_a_page_and_a_circuit_in_memory_are_shown_too(tmp_path: Path) -> None:
    run = run_folders.strange(tmp_path)
    circuit = Circuit.load(run / "circuit.json")
    assert circuit.page(400) == page(circuit, 400)
    of_run, of_circuit = (shown.html for shown in (page(run), page(circuit)))
    assert not (run / "report.html").exists()
    for html in (of_run, of_circuit):
        [held] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
        edges = json.loads(held)["graph"]["edges"]
        assert len(edges) == len(circuit)
    assert '"acdc attack RUN"' in of_circuit
    judged = faithfulness_of(circuit.provenance["faithfulness"])
    result = Result(circuit, judged, CurvePoints())
    assert result.page(300) == PageFrame(of_circuit, 300) == page(result, 300)


def test_where_no_page_was_made_the_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"no page can be shown from .*report.html: No such file.*`acdc report` makes"):
        page(tmp_path)
