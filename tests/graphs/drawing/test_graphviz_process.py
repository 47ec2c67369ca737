"""Graphviz in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from acdc.graphs.drawing import graphviz_process as drawing
from acdc.graphs.drawing.graphviz_process import Engine, Form, drawn, engines
from acdc.graphs.errors import RenderError

TEXT = 'digraph { layout="neato" a [pos="0,0!"] b [pos="0,1!"] a -> b }'
MAGIC: dict[Form, bytes] = {"svg": b"<?xml", "png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-"}


def program(path: Path, code: str) -> Engine:
    """An engine that is a Python script of ours."""
    path.write_text(f"#!{sys.executable}\n{code}", encoding="utf-8")
    path.chmod(0o755)
    return Engine(path.name, (sys.executable, str(path)))


def use(monkeypatch: pytest.MonkeyPatch, *found: Engine) -> None:
    monkeypatch.setattr(drawing, "engines", lambda form: list(found))


@pytest.mark.parametrize("form", MAGIC)
def test_the_bundled_graphviz_draws(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert drawn(TEXT, form).startswith(MAGIC[form])


def test_nothing_that_graphviz_says_reaches_the_user(capfd: pytest.CaptureFixture[str]) -> None:
    drawn(TEXT.replace("a ->", "a [shape=nonesuch] a ->"), "svg")
    assert capfd.readouterr() == ("", "")


def test_modules_in_the_working_directory_do_not_get_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    assert drawn(TEXT, "svg").startswith(MAGIC["svg"])


def test_the_bundled_graphviz_comes_before_a_system_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "dot", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [engine.name for engine in engines("svg")] == ["pygraphviz", str(tmp_path / "dot")]


def test_a_system_dot_draws_where_pygraphviz_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "dot", "import sys\nprint(sys.argv[1:], sys.stdin.read(), end='')")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(drawing.importlib.util, "find_spec", lambda name: None)
    assert drawn("digraph {}", "svg") == b"['-Tsvg'] digraph {}"
    assert drawn("digraph {}", "png") == b"['-Tpng', '-Gdpi=144'] digraph {}"


def test_the_next_engine_draws_where_the_first_crashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crashing = program(tmp_path / "one", "import os\nos.abort()")
    silent = program(tmp_path / "two", "")
    working = program(tmp_path / "three", "print('drawn', end='')")
    use(monkeypatch, Engine("absent", (str(tmp_path / "absent"),)), crashing, silent, working)
    assert drawn(TEXT, "svg") == b"drawn"


def test_when_no_engine_can_draw_each_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complaining = program(tmp_path / "dot", "import sys\nsys.exit('no cairo')")
    use(monkeypatch, Engine("absent", (str(tmp_path / "absent"),)), complaining)
    with pytest.raises(RenderError) as caught:
        drawn(TEXT, "pdf")
    assert str(caught.value) == (
        "the circuit could not be drawn as pdf: absent did not start (No such file or directory); dot ended with "
        "status 1, saying 'no cairo'; run `pip install --force-reinstall pygraphviz`, or ask for a .dot file, which "
        "needs no Graphviz"
    )


def test_without_any_engine_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch)
    with pytest.raises(RenderError, match=r"neither the Python package pygraphviz nor a program `dot` was found; run"):
        drawn(TEXT, "svg")


def test_an_engine_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, program(tmp_path / "dot", "import threading\nthreading.Event().wait()"))
    monkeypatch.setattr(drawing, "_TIME_LIMIT_SECONDS", 0.2)
    with pytest.raises(RenderError, match="dot took longer than 0 s"):
        drawn(TEXT, "svg")
