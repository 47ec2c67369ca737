"""The README is short, every page can be found from it, and nothing in them links to what is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.layout import ROOT

LONGEST = 6_000
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("tasks/models/*/README.md")])
_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)[^)]*\)|(?:src|href)=\"([^\"]+)\"")
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


def prose(page: Path) -> str:
    """What a page says, without its blocks of code."""
    return _CODE.sub("", page.read_text("utf-8"))


def links(text: str) -> list[str]:
    """Where a page's links and pictures lead, but for those that lead elsewhere in the world."""
    found = [one or other for one, other in _LINK.findall(text)]
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(text: str) -> set[str]:
    """What headings can be linked to by, as GitHub makes it of them."""
    words = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower() for heading in _HEADING.findall(text))
    return {re.sub(r" ", "-", re.sub(r"[^\w\- ]", "", each)) for each in words}


def dead(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    found = []
    for link in links(prose(page)):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(prose(target))):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_and_picture_is_there(page: Path) -> None:
    assert dead(page) == []


def test_the_readme_is_short_and_has_a_picture() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text) <= LONGEST
    assert [link for link in links(text) if link.endswith(".png")]


def test_every_page_is_found_from_the_readme() -> None:
    named = {(ROOT / link.partition("#")[0]).resolve() for link in links(prose(ROOT / "README.md"))}
    pages = {page for page in PAGES if page.parent.name == "docs"}
    assert len(pages) >= 10
    assert {page.name for page in pages - named} == set()


def test_every_picture_is_shown_somewhere() -> None:
    shown = {(page.parent / link).resolve() for page in PAGES for link in links(prose(page))}
    assert {picture.name for picture in ROOT.glob("docs/*.png") if picture not in shown} == set()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[a](nowhere.md)", ["nowhere.md"]),
        ("[a](b.md#the-2nd-heading-its-code)", []),
        ("[a](b.md#another)", ["b.md#another"]),
        ("[a](#own) [x](https://example.org/nowhere)\n# Own", []),
        ('<img src="none.png" alt="">', ["none.png"]),
        ("```\n[a](nowhere.md)\n```", []),
    ],
)
def test_a_dead_link_is_found(tmp_path: Path, text: str, wrong: list[str]) -> None:
    (tmp_path / "b.md").write_text("## The 2nd heading: its `code`\n```\n# another\n```\n")
    (tmp_path / "a.md").write_text(text)
    assert dead(tmp_path / "a.md") == wrong
