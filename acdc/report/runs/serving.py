"""The runs of a folder served to this machine's browser, and to nobody else.

It listens on 127.0.0.1 alone. A page elsewhere could let a name of its own point to that address and have a browser
read what is served here (DNS rebinding): a request that names another host than this one is refused. What is served is
the list and the page of a run that is in it, made then where the run has none, and what came of a grid where the folder
holds one; no path of a request is ever opened.
"""

from __future__ import annotations

import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from acdc.errors import AcdcError, BadRunFile, BadSetting
from acdc.graphs.errors import BadCircuitFile, GraphsError
from acdc.report.page.run_folder import RunFolder
from acdc.report.page.writing import page_of
from acdc.report.runs.document import address, document
from acdc.report.runs.listing import CIRCUIT, RunEntry, RunList
from acdc.report.runs.sweep_page import LIST, sweep_document

HOST = "127.0.0.1"
_PAGE_POLICY = "frame-ancestors 'none'"  # all else is in the page itself


class RunServer(ThreadingHTTPServer):
    """A server of the runs in a folder; port 0 is one that is free.

    Raises: BadSetting when it cannot listen on that port.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise BadSetting(
                f"nothing can be served on port {port}: {why}; give another --port, or none for a free one"
            ) from error
        self.folder = folder
        self._known: dict[tuple[Path, int, int], RunEntry | str] = {}

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{HOST}:{self.server_port}/"

    @property
    def hosts(self) -> frozenset[str]:
        """The names that a request may call this server by."""
        return frozenset(f"{name}:{self.server_port}" for name in (HOST, "localhost"))

    def runs(self) -> RunList:
        """The runs that are there now."""
        return RunList.of(self.folder, self._known)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that did not wait for its answer, and all of anything else."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: RunServer
    server_version, sys_version = "acdc", ""

    def do_GET(self) -> None:  # the name by which it is called
        if self.headers.get_all("Host", []) not in [[host] for host in self.server.hosts]:
            return self._answer(HTTPStatus.FORBIDDEN, b"This is for the browser of the machine it runs on.\n")
        path = urlsplit(self.path).path
        runs = self.server.runs()
        if path in ("/", LIST):
            try:
                page, policy = (path == "/" and sweep_document(runs)) or document(runs)
            except (BadRunFile, BadCircuitFile) as error:
                return self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, f"{error}\n".encode())
            return self._answer(HTTPStatus.OK, page.encode("utf-8", "replace"), policy)
        wanted = unquote(path, errors="surrogateescape")
        named = {
            unquote(address(runs.name(entry.directory)), errors="surrogateescape"): entry for entry in runs.entries
        }
        try:
            content = _page(named[wanted], self.server.folder) if wanted in named else None
        except (AcdcError, GraphsError, OSError) as error:
            why = f"No page can be made of this run: {error}\n"
            return self._answer(HTTPStatus.UNPROCESSABLE_ENTITY, why.encode("utf-8", "replace"))
        if content is None:
            return self._answer(HTTPStatus.NOT_FOUND, b"There is no such page; the list is at /\n")
        return self._answer(HTTPStatus.OK, content, _PAGE_POLICY)

    do_HEAD = do_GET  # noqa: N815  # likewise

    def _answer(self, status: HTTPStatus, content: bytes, policy: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"text/{'html' if policy else 'plain'}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", policy or "default-src 'none'")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name there
        """Say nothing of requests."""


def _page(run: RunEntry, folder: Path) -> bytes | None:
    """The page in the run's folder, one made now where there is none; None where a link leads out of the list's folder.

    Raises: BadCircuitFile, BadRunFile; OSError.
    """
    if run.page is None:
        return page_of(RunFolder.read(run.directory / CIRCUIT)).encode()
    return run.page.read_bytes() if run.page.resolve().is_relative_to(folder.resolve()) else None
