"""Installed, the package takes no name that a user may have: a project with its own `tasks` and `graphs` keeps them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.layout import ROOT

CLAIMS = "task: periodic\ncircuit: [a0.h0->a1.h0<v>]\nclaims: {size: {at_most: 1}}\n"
USERS = "import graphs\nimport tasks\n\nassert (tasks.MINE, graphs.MINE) == ('my tasks', 'my graphs')\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from what would be released."""
    source = tmp_path_factory.mktemp("source")
    for part in ("acdc", "graphs", "tasks"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, source / part, symlinks=True, ignore=ignored)
    for part in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / part, source)
    built = tmp_path_factory.mktemp("wheel")
    command = (
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        built,
        source,
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    [made] = built.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of a fresh environment with the wheel in it; what it depends on is borrowed from this one."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(home)}))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    # a directory named in a .pth file is searched, but the .pth files in it, such as an editable install's, are not
    (packages / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return home / "bin"


def directory(home: Path, *, packages: bool) -> Path:
    """A user's project with modules, or packages, called tasks and graphs."""
    for name in ("tasks", "graphs"):
        file = home / name / "__init__.py" if packages else home / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"MINE = 'my {name}'\n")
    (home / "script.py").write_text(f"{USERS}\nimport acdc\nfrom acdc import tasks\n\nprint(*tasks.names()[:1])\n")
    (home / "test_theirs.py").write_text(f"def test_it():\n    {USERS.strip().replace(chr(10), chr(10) + '    ')}\n")
    (home / "test_periodic.acdc.yaml").write_text(CLAIMS)
    return home


@pytest.mark.parametrize("packages", [False, True], ids=["modules", "packages"])
def test_a_user_keeps_tasks_and_graphs_of_their_own(installed: Path, tmp_path: Path, packages: bool) -> None:
    home = directory(tmp_path, packages=packages)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COV"))}

    def run(*command: str) -> str:
        words = (str(installed / "python"), *command)
        done = subprocess.run(words, cwd=home, env=clean, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    as_command = "import sys; sys.path.pop(0); sys.argv[0] = ''; from {} import main; sys.exit(main())"
    assert run("-m", "acdc", "--version") == "acdc 0.1.0\n"
    assert run("-c", as_command.format("acdc.cli"), "--version") == "acdc 0.1.0\n"
    assert run("script.py") == "periodic\n"
    imported = run("-c", "import acdc.graphs, pathlib; print(pathlib.Path(acdc.graphs.__file__).resolve())")
    assert imported.startswith(str(installed.parent.resolve())), "it is the wheel that was imported"
    quick = ("-q", "-p", "no:cacheprovider")
    if packages:
        for collected in (run("-m", "pytest", *quick, "--co"), run("-c", as_command.format("pytest"), *quick, "--co")):
            assert "test_periodic.acdc.yaml::size" in collected
    else:
        assert "2 passed" in run("-m", "pytest", *quick)


def test_nothing_but_the_package_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names} == {"acdc", "acdc_circuits-0.1.0.dist-info"}
    assert not [name for name in names if "__pycache__" in name]
    page = ("template.html", "style.css", "modules/main.js", "vendor/cytoscape.min.js", "vendor/cytoscape.LICENSE")
    parts = (f"acdc/report/{name}" for name in ("runs/runs.html", *(f"page/{part}" for part in page)))
    for wanted in (*parts, "acdc/tasks/models/periodic-2l/model.safetensors", "acdc/graphs/nodes.py", "acdc/py.typed"):
        assert wanted in names
