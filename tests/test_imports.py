"""The packages depend on each other in one direction only, and importing them costs next to nothing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import networkx
import pytest

from tests.layout import PACKAGES, ROOT, module_name, modules

MAY_IMPORT = {"tasks": {"acdc.tasks"}, "graphs": {"acdc.graphs"}, "acdc": {"acdc", "acdc.graphs", "acdc.tasks"}}
OURS = {*PACKAGES.values(), "tests", "graphs", "tasks"}
"""The last two are a user's own: nothing of ours is called so where it is installed."""
HEAVY = {"torch", "transformers", "transformer_lens", "jax"}
LOADERS = {"import_module", "__import__", "resolve_name", "find_spec"}
FLOORS = (
    {"errors", "progress", "hashes", "methods", "streams"},
    {"drain", "precision", "settings"},
    {"problem", "provenance", "ground_truth", "pretrained"},
    {"algorithms", "correctness", "models"},
    {"problems", "request"},
    {"judges"},
    {"discovery"},
    {"attacks", "bench"},
    {"hypotheses", "report", "robust"},
    {"cli", "pytest_plugin", "__init__", "__main__"},
)
"""What is in `acdc`, from the ground up: each imports from its own floor and those below it."""


def imported(source: str, package: str) -> Iterator[str]:
    """The dotted name of everything that a module of `package` imports, at its top or anywhere inside."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module="acdc", level=0):
                yield from (f"acdc.{alias.name}" for alias in node.names)
            case ast.ImportFrom(module=str() as module, level=0):
                yield module
            case ast.ImportFrom():
                yield package
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in LOADERS:
                yield from (a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str))


def root(name: str) -> str:
    """The package of ours, or the top-level one of others, that a dotted name is in."""
    first, *rest = re.split("[.:]", name)
    inner = f"{first}.{rest[0]}" if rest else first
    return inner if inner in PACKAGES.values() else first


def roots(path: Path) -> set[str]:
    """The packages that a module of ours imports."""
    folder = path.relative_to(ROOT).parts[0]
    return {root(name) for name in imported(path.read_text(encoding="utf-8"), PACKAGES[folder])}


def loaded_by(statement: str) -> set[str]:
    """The heavy packages that a fresh interpreter has loaded after `statement`."""
    script = f"import sys\n{statement}\nprint('loaded:', *sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].removeprefix("loaded:").split())


@pytest.mark.parametrize(
    "source",
    [
        "import acdc.graphs",
        "import acdc.graphs.nodes as n",
        "from acdc import graphs",
        "from acdc.graphs.nodes import Node",
        "def f():\n    from acdc.graphs import Node",
        "if TYPE_CHECKING:\n    from acdc import graphs",
        "importlib.import_module('acdc.graphs.model')",
        "resolve_name('acdc.graphs:Node')",
    ],
)
def test_every_way_of_importing_is_seen(source: str) -> None:
    assert {root(name) for name in imported(source, "acdc.tasks")} == {"acdc.graphs"}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_in_one_direction(package: str) -> None:
    files = modules(package)
    assert files, f"{package} has no modules: is the test looking in the right place?"
    forbidden = OURS - MAY_IMPORT[package]
    wrong = {path.relative_to(ROOT).as_posix(): roots(path) & forbidden for path in files}
    assert {path: names for path, names in wrong.items() if names} == {}


def import_graph() -> networkx.DiGraph[str]:
    """Which of our modules imports which, at its top, inside a function or for type checkers only."""
    known = {module_name(path): path for package in MAY_IMPORT for path in modules(package)}
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    for name, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import():
                    found = [alias.name for alias in node.names]
                case ast.ImportFrom(module=str() as module):
                    inner = [f"{module}.{alias.name}" for alias in node.names]
                    found = [each if each in known else module for each in inner]
                case _:
                    continue
            graph.add_edges_from((name, each) for each in found if each in known and each != name)
    return graph


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = import_graph()
    assert graph.has_edge("acdc.cli.discover", "acdc.discovery.discover"), "imports inside functions are not seen"
    circles = [sorted(circle) for circle in networkx.strongly_connected_components(graph) if len(circle) > 1]
    assert circles == []


def test_nothing_imports_from_a_higher_floor() -> None:
    floor = {part: level for level, parts in enumerate(FLOORS) for part in parts}

    def level(module: str) -> int:
        parts = module.split(".")
        return floor[parts[1] if len(parts) > 1 else "__init__"]

    ours = [edge for edge in import_graph().edges if all(root(name) == "acdc" for name in edge)]
    assert [(one, other) for one, other in ours if level(one) < level(other)] == []


def test_one_door_leads_to_transformer_lens() -> None:
    users = [path for package in MAY_IMPORT for path in modules(package) if "transformer_lens" in roots(path)]
    assert users, "nobody imports transformer_lens: is the test still looking for the right name?"
    assert [path for path in users if ROOT / "graphs" / "model" not in path.parents] == []


def test_a_heavy_import_is_noticed() -> None:
    assert loaded_by("import tasks.metrics") == {"torch"}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_importing_a_package_loads_nothing_heavy(package: str) -> None:
    assert loaded_by(f"import {package}; dir({package})") == set()


def test_help_loads_nothing_heavy() -> None:
    help_shown = """
from acdc.cli import main
sys.argv = ["acdc", "--help"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""
    assert loaded_by(help_shown) == set()
