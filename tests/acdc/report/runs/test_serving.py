"""Runs are served to this machine's browser, and nothing else of the disk to anybody."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from acdc.errors import BadSetting
from acdc.report.page.run_folder import RunFolder
from acdc.report.page.writing import page_of
from acdc.report.runs.listing import RunList
from acdc.report.runs.serving import RunServer
from tests.acdc.report.page import run_folders

EVIL = "<img src=x onerror=alert(1)>"


def run(directory: Path, *, task: str = "ioi", created: str | None = None, page: str | None = "<p>a page</p>") -> Path:
    directory.mkdir(parents=True)
    edges = [{"edge": "input->m0", "score": 1.0}, {"edge": "m0->logits", "score": 2.0}]
    data: dict[str, Any] = {
        "schema": "acdc.circuit/1",
        "task": {"name": task},
        "model": {"name": "gpt2"},
        "metric": {"name": "logit_difference"},
        "faithfulness": {"normalised": {"value": 0.9, "low": 0.85, "high": 0.95}},
        "graph": {},
        "edges": edges,
    }
    (directory / "circuit.json").write_text(json.dumps({**data, **({"created": created} if created else {})}))
    if page is not None:
        (directory / "report.html").write_text(page)
    return directory


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.html").write_text("secret")
    outside = run(tmp_path / "outside", page="secret")
    runs = tmp_path / "runs"
    run(runs / "old", created="2026-01-01T00:00:00+00:00")
    run(runs / "new # <b>%2e", created="2026-03-01T00:00:00+00:00", task=EVIL)
    run(runs / "deep" / "er", created="2026-02-01T00:00:00Z", page=None)
    link = run(runs / "link", created="2025-01-01T00:00:00+00:00", page=None)
    (link / "report.html").symlink_to(tmp_path / "secret.html")
    (runs / "linked").symlink_to(outside, target_is_directory=True)
    (runs / "damaged").mkdir()
    (runs / "damaged" / "circuit.json").write_text('{"schema": ')
    return runs


@contextmanager
def serving(folder: Path) -> Iterator[RunServer]:
    """A server of that folder, which answers."""
    with RunServer(folder) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield made
        finally:
            made.shutdown()
            thread.join()


@pytest.fixture
def server(folder: Path) -> Iterator[RunServer]:
    with serving(folder) as made:
        yield made


def asked(server: RunServer, path: str, method: str = "GET", **headers: str) -> tuple[int, Any, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            if value:
                connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


class Page(HTMLParser):
    """The links, the texts and the elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.elements: set[str] = set()
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.links += [value for name, value in attrs if name in ("href", "src") and value and tag != "link"]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_list_is_newest_first_and_opens_every_page_that_is_there(server: RunServer) -> None:
    status, headers, text = asked(server, "/")
    page = Page(text)
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    names = [entry.directory.name for entry in server.runs().entries]
    assert names == ["new # <b>%2e", "er", "old", "link"]
    answers = [(200, "a page"), (422, "No page can be made of this run"), (200, "a page"), (404, "no such")]
    for link, (wanted, content) in zip(page.links, answers, strict=True):
        status, _, text = asked(server, link)
        assert (status, content in text, "secret" in text) == (wanted, True, False)


def test_what_is_named_in_a_run_is_text(server: RunServer) -> None:
    page = Page(asked(server, "/")[2])
    assert EVIL in page.texts
    assert page.texts.count("logit difference") == 4  # by which each run is faithful
    assert not {"img", "b"} & page.elements


def test_a_run_without_a_page_is_given_one_when_it_is_opened(server: RunServer, folder: Path) -> None:
    (folder / "small").mkdir()
    made = run_folders.strange(folder / "small")
    status, headers, text = asked(server, "/run/small/report.html")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert text == page_of(RunFolder.read(made / "circuit.json"))
    assert not (made / "report.html").exists()
    (made / "claims.json").write_text("{")
    status, headers, text = asked(server, "/run/small/report.html")
    assert (status, headers["Content-Type"]) == (422, "text/plain; charset=utf-8")
    assert "claims.json is damaged" in text


def test_a_damaged_run_is_named_with_its_fault(server: RunServer, folder: Path) -> None:
    page = Page(asked(server, "/")[2])
    assert any("circuit.json is not JSON" in words for words in page.texts)
    assert list(server.runs().damaged) == [folder / "damaged"]


def test_what_is_new_is_there_at_once(server: RunServer, folder: Path) -> None:
    run(folder / "newest", created="2027-01-01T00:00:00+00:00")
    assert server.runs().entries[0].directory == folder / "newest"
    (folder / "newest" / "circuit.json").write_text("[]")
    assert folder / "newest" in server.runs().damaged


@pytest.mark.parametrize(
    "path",
    [
        "/run/../secret.html",
        "/run/../../etc/passwd",
        "/run/%2e%2e/secret.html",
        "/run/..%2fsecret.html",
        "/run/../outside/report.html",
        "/run/%2e%2e/outside/report.html",
        "/run/linked/report.html",
        "/run/old/circuit.json",
        "/run/old/../old/report.html",
        "/run/old//report.html",
        "/run//etc/passwd/report.html",
        "/run/old/report.html%00",
        "/run/\\..\\outside/report.html",
        "//etc/passwd",
        "/etc/passwd",
    ],
)
def test_no_path_leads_anywhere_else(server: RunServer, path: str) -> None:
    status, _, text = asked(server, path)
    assert (status, text) == (404, "There is no such page; the list is at /\n")


def test_only_requests_that_name_this_server_are_answered(server: RunServer) -> None:
    port = server.server_port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        assert asked(server, "/", Host=host)[0] == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1.evil.example:{port}", "0.0.0.0", ""):
        status, _, text = asked(server, "/", Host=host)
        assert (status, "ioi" in text) == (403, False)


def test_it_listens_on_this_machine_alone(server: RunServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.socket.family == socket.AF_INET


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_sent(server: RunServer, method: str) -> None:
    assert asked(server, "/", method)[0] == 501


def test_a_head_has_no_body(server: RunServer) -> None:
    status, headers, text = asked(server, "/", "HEAD")
    assert (status, text) == (200, "")
    assert int(headers["Content-Length"]) > 1000


def test_a_port_that_is_taken_is_refused(server: RunServer, folder: Path) -> None:
    with pytest.raises(
        BadSetting, match=rf"nothing can be served on port {server.server_port}: .*in use; give another"
    ):
        RunServer(folder, server.server_port)


def test_a_run_that_says_little_is_listed(tmp_path: Path) -> None:
    run(tmp_path / "a")
    (tmp_path / "a" / "circuit.json").write_text('{"schema": "acdc.circuit/1", "edges": []}')
    (entry,) = RunList.of(tmp_path, {}).entries
    assert (entry.origin.task, entry.origin.model, entry.edges, entry.kept) == (None, None, 0, None)
    (tmp_path / "a" / "circuit.json").write_text('{"schema": "acdc.circuit/1", "edges": [], "faithfulness": 3}')
    assert "under" in RunList.of(tmp_path, {}).damaged[tmp_path / "a"]
