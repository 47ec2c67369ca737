"""A class name means one thing in the whole project."""

from __future__ import annotations

import ast
from collections import defaultdict

from tests.layout import PACKAGES, ROOT, modules


def test_no_two_classes_have_one_name() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for package in PACKAGES:
        for path in modules(package):
            if path.name == "train.py":  # a script of its own beside each shipped model
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ClassDef):
                    homes[node.name.lstrip("_")].append(path.relative_to(ROOT).as_posix())
    assert len(homes) > 200
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}
