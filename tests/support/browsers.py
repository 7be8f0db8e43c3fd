"""A real browser without a window: what it makes of a page, and what it asks the network for.

    visit = visit_page(content, folder)         # skips where there is no Chromium
    visit.dom, visit.console, visit.requests

The browser reaches nothing but a proxy of ours on loopback, which answers for
the page and refuses everything else, and writes down what was asked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

PAGE = "http://report.invalid/page.html"
# The browser's own calls home, which no option turns off entirely; they get no answer.
_OWN = (".google.com", ".googleapis.com")
NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--enable-logging=stderr",
)


@dataclass(frozen=True)
class Visit:
    """What a page became: its DOM as HTML, its console's lines, and every request."""

    dom: str
    console: tuple[str, ...]
    requests: tuple[str, ...]


def visit_page(content: bytes, folder: Path, *options: str) -> Visit:
    """Load a page and let its scripts run; further options are the browser's."""
    requests: list[str] = []
    with _proxy(content, requests) as port:
        finished = _run(folder, port, "--dump-dom", *options)
    console = tuple(line for line in finished.stderr.splitlines() if "CONSOLE" in line)
    return Visit(finished.stdout, console, tuple(r for r in requests if not _is_its_own(r)))


def picture_of(content: bytes, folder: Path, width: int, height: int, *options: str) -> bytes:
    """Return a PNG of the first so many pixels of a page."""
    file = folder / "picture.png"
    with _proxy(content, []) as port:
        _run(folder, port, f"--window-size={width},{height}", f"--screenshot={file}", *options)
    return file.read_bytes()


def _is_its_own(request: str) -> bool:
    target = request.partition(" ")[2]
    host = urlsplit(target if "://" in target else f"//{target}").hostname or ""
    return host.endswith(_OWN)


def _run(folder: Path, port: int, *options: str) -> subprocess.CompletedProcess[str]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser is installed (none of {', '.join(NAMES)} was found)")
    profile = folder / "profile"
    shutil.rmtree(profile, ignore_errors=True)
    profile.mkdir(parents=True)
    return subprocess.run(
        [
            program,
            *OPTIONS,
            f"--user-data-dir={profile}",
            f"--proxy-server=http://127.0.0.1:{port}",
            *options,
            PAGE,
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "LC_ALL": "C.UTF-8"},
    )


@contextmanager
def _proxy(content: bytes, requests: list[str]) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(f"{self.command} {self.path}")
            found = self.path == PAGE
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(content if found else b"")

        do_POST = do_CONNECT = do_HEAD = do_GET  # noqa: N815 the server's own names

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
