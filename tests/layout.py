"""Where the code is: three folders, of which two are installed inside the third."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = {"acdc": "acdc", "graphs": "acdc.graphs", "tasks": "acdc.tasks"}
"""Every folder and the package that it is."""


def modules(folder: str) -> list[Path]:
    """The files of a folder's modules; what is linked into it is another folder's."""
    return sorted(path for path in (ROOT / folder).rglob("*.py") if path.resolve() == path)


def module_name(path: Path) -> str:
    """What a module is imported as."""
    folder, *parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join((PACKAGES[folder], *(parts[:-1] if parts[-1] == "__init__" else parts)))
