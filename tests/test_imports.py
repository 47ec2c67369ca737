"""The packages depend on each other in one direction only, and importing them costs next to nothing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import networkx
import pytest

from tests.layout import PACKAGES, ROOT, module_name, modules

MAY_IMPORT = {"tasks": {"acdc.tasks"}, "graphs": {"acdc.graphs"}, "acdc": {"acdc", "acdc.graphs", "acdc.tasks"}}
OURS = {*PACKAGES.values(), "tests", "graphs", "tasks"}
"""The last two are a user's own: nothing of ours is called so where it is installed."""
HEAVY = {"torch", "transformers", "transformer_lens", "jax"}
SLOW = HEAVY | {
    *(
        "accelerate",
        "beartype",
        "filelock",
        "graphviz",
        "haiku",
        "huggingface_hub",
        "importlib.metadata",
        "jaxtyping",
        "matplotlib",
    ),
    *("jinja2", "networkx", "numpy", "pandas", "PIL", "pydantic", "pygraphviz", "pytest", "rich", "safetensors"),
    *("ray", "scipy", "sklearn"),
    *("tokenizers", "tracr", "typer", "yaml"),
}
"""What takes tens of milliseconds to import, or need not be installed: what an import inside a function may save."""
BY_MODULE = {"matplotlib", "rich", "scipy"}
"""Of these slow ones, each module is loaded by itself: who has one of them has not the others."""
BRINGS = {"torch": "numpy"}
"""Who loads the one has the other as well."""
LAZY_ANYWAY = {"acdc.pytest_plugin": "every run of pytest loads it, before coverage and the shape checks begin"}
LOADERS = {"import_module", "__import__", "resolve_name", "find_spec"}
FLOORS = (
    {"errors", "footprint", "hashes", "methods", "progress", "streams"},
    {"drain", "precision", "settings"},
    {"slot_words", "spans"},
    {"span_numbers"},
    {"batch", "pieces", "problem", "provenance", "ground_truth", "pretrained"},
    {"algorithms", "correctness", "features", "learned_constants", "models"},
    {"problems", "request"},
    {"judges"},
    {"discovery"},
    {"attacks", "bench", "cost", "explain"},
    {"hypotheses", "report", "robust", "sweep"},
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


def loaded_by(statement: str, among: set[str] = HEAVY) -> set[str]:
    """Those of the heavy packages, or `among` others, that a fresh interpreter has loaded after `statement`."""
    script = f"import sys\n{statement}\nprint('loaded:', *sorted({among!r} & set(sys.modules)))"
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


@cache
def known() -> dict[str, ast.Module]:
    """Our modules by name."""
    files = {module_name(path): path for package in MAY_IMPORT for path in modules(package)}
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in files.items()}


def targets(node: ast.AST) -> list[str]:
    """The modules that an import statement names, be it by one of their names; none for any other node."""
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom(module=str() as module):
            inner = [f"{module}.{alias.name}" for alias in node.names]
            return [each if each in known() or module in BY_MODULE else module for each in inner]
    return []


def import_graph() -> networkx.DiGraph[str]:
    """Which of our modules imports which, at its top, inside a function or for type checkers only."""
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    for name, tree in known().items():
        found = [each for node in ast.walk(tree) for each in targets(node)]
        graph.add_edges_from((name, each) for each in found if each in known() and each != name)
    return graph


def statements(node: ast.AST, *, inside: bool, within: bool = False) -> Iterator[ast.AST]:
    """The imports that run when a function is called, or those that run when the module is loaded."""
    match node:
        case ast.Import() | ast.ImportFrom() if within == inside:
            yield node
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            for other in node.orelse:
                yield from statements(other, inside=inside, within=within)
        case _:
            called = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            for child in ast.iter_child_nodes(node):
                if not isinstance(child, ast.expr):  # of which most of a module consists, and none imports anything
                    yield from statements(child, inside=inside, within=within or called)


@cache
def loads(module: str) -> frozenset[str]:
    """What one of our modules imports when it is loaded, by its own lines."""
    return frozenset(each for node in statements(known()[module], inside=False) for each in targets(node))


def slow(names: Iterable[str]) -> frozenset[str]:
    """What is slow among all that is loaded by importing these modules."""
    return _slow(frozenset(names))


@cache
def _slow(names: frozenset[str]) -> frozenset[str]:
    left, met = list(names), set[str]()
    while left:
        parts = left.pop().split(".")
        for end in range(1, len(parts) + 1):  # packages first, as Python does
            name = ".".join(parts[:end])
            if name not in met:
                met.add(name)
                left += loads(name) if name in known() else [BRINGS[name]] if name in BRINGS else []
    by_module = {name for name in met if name.split(".")[0] in BY_MODULE}
    return frozenset((met & SLOW - BY_MODULE) | by_module)


def saving_nothing(tree: ast.Module, package: str) -> list[str]:
    """The imports inside of functions that load nothing slow beyond what the module itself, of a package, loads."""
    at_once = slow([package, *(each for node in statements(tree, inside=False) for each in targets(node))])
    return [ast.unparse(node) for node in statements(tree, inside=True) if slow(targets(node)) <= at_once]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f():\n    import torch", []),
        ("def f():\n    from acdc.problem import Problem", []),
        ("import torch\ndef f():\n    from rich import table", []),
        ("from rich.console import Console\ndef f():\n    from rich.table import Table", []),
        ("from rich import console\ndef f():\n    from rich import table", []),
        ("from rich import table\ndef f():\n    from rich.table import Table", ["from rich.table import Table"]),
        ("if TYPE_CHECKING:\n    import torch\ndef f():\n    import torch", []),
        ("def f():\n    from difflib import ndiff", ["from difflib import ndiff"]),
        ("def f():\n    from acdc.errors import BadSetting", ["from acdc.errors import BadSetting"]),
        ("import torch\nclass C:\n    def f(self):\n        import numpy", ["import numpy"]),
        ("from acdc.problem import Problem\ndef f():\n    import torch.nn", ["import torch.nn"]),
    ],
)
def test_an_import_inside_a_function_that_saves_nothing_is_found(source: str, found: list[str]) -> None:
    assert saving_nothing(ast.parse(source), "acdc") == found


def test_every_import_inside_a_function_saves_time_at_the_start() -> None:
    found = {name: saving_nothing(tree, name) for name, tree in known().items() if name not in LAZY_ANYWAY}
    assert {name: lines for name, lines in found.items() if lines} == {}, "these belong at the top"


def test_what_seems_to_load_nothing_slow_loads_nothing_slow() -> None:
    quick = [name for name in known() if not slow([name])]
    assert len(quick) > 20
    assert loaded_by(f"import {', '.join(quick)}", SLOW) == set()


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
    assert loaded_by("import tasks.metrics", HEAVY | {*BRINGS.values()}) == {"torch", "numpy"}


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
