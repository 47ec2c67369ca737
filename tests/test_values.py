"""A value has six fields at most: where it has more, some of them are a value that lacks a name."""

from __future__ import annotations

import ast

from tests.layout import PACKAGES, ROOT, modules

MOST = 6


def is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(each) for each in node.decorator_list)


def test_values_have_six_fields_at_most() -> None:
    files = [path for package in PACKAGES for path in modules(package)]
    classes = [node for path in files for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    fields = {
        node.name: sum(isinstance(line, ast.AnnAssign) for line in node.body)
        for node in classes
        if isinstance(node, ast.ClassDef) and is_dataclass(node)
    }
    assert len(fields) > 100, f"are these all values under {ROOT}?"
    assert {name: count for name, count in fields.items() if count > MOST} == {}
