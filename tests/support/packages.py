"""Small real packages, fetched once, and a package index on loopback.

    with serve_index() as index:       # the session fixture ``index`` does this
        index.url                      # http://127.0.0.1:PORT/simple/
        index.folder                   # the same files as a find-links folder

Files come from the package index by ``pip download`` into ``.test-packages`` of
the repository (ignored; ``$CACHEADMIN_TEST_PACKAGES`` overrides), once, under a
lock. From then on every uv run of the tests is offline, quick and the same
everywhere. There are

- pure wheels in several versions: six, idna, pytz, cowsay, tzdata, python-dateutil;
- compiled wheels for the running Python: numpy and pandas;
- packages that exist as source only, so that uv must build them: docopt 0.6.2
  (setuptools) and idna 3.6 (flit), with their build backends as wheels.
"""

from __future__ import annotations

import fcntl
import hashlib
import html
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.uv_releases import REPOSITORY

#: Fetched as wheels. pip refuses two versions of a package at once, hence rounds.
WHEEL_ROUNDS = (
    (
        "six==1.17.0",
        "idna==3.10",
        "pytz==2025.2",
        "cowsay==6.1",
        "numpy==2.3.5",
        "pandas==2.3.3",
        "python-dateutil==2.9.0.post0",
        "tzdata==2025.2",
        "setuptools==80.9.0",
        "wheel==0.45.1",
        "flit-core==3.12.0",
        "hatchling==1.27.0",
        "packaging==25.0",
        "pathspec==0.12.1",
        "pluggy==1.6.0",
        "trove-classifiers==2025.5.9.12",
    ),
    ("six==1.16.0", "idna==3.7", "pytz==2024.1", "cowsay==6.0"),
    ("six==1.15.0", "pytz==2023.3"),
)

#: Fetched as source only; uv must build them.
SOURCES = ("docopt==0.6.2", "idna==3.6")


@dataclass(frozen=True)
class Index:
    """A running package index: its simple URL, and the folder of its files."""

    url: str
    folder: Path


def packages_folder() -> Path:
    """Return the folder with all files, fetching whatever is missing."""
    folder = Path(os.environ.get("CACHEADMIN_TEST_PACKAGES") or REPOSITORY / ".test-packages")
    rounds = [(wheels, "--only-binary") for wheels in WHEEL_ROUNDS] + [(SOURCES, "--no-binary")]
    tag = f"{sys.implementation.cache_tag}"
    wanted = hashlib.sha256(repr((rounds, tag)).encode()).hexdigest()[:16]
    finished = folder / wanted
    if finished.is_dir():
        return finished
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.is_dir():
            unfinished = folder / f".{wanted}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            for requirements, form in rounds:
                command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
                command += ["--disable-pip-version-check", form, ":all:"]
                subprocess.run([*command, "--dest", str(unfinished), *requirements], check=True)
            unfinished.rename(finished)
    return finished


def project_of(file_name: str) -> str:
    """Return the normalised project name of a wheel or source file."""
    separator = file_name.find("-") if file_name.endswith(".whl") else file_name.rfind("-")
    stem = file_name[:separator]
    return re.sub(r"[-_.]+", "-", stem).lower()


@contextmanager
def serve_index() -> Iterator[Index]:
    """Serve all packages as a simple index on a free loopback port."""
    folder = packages_folder()
    pages = _pages(folder)

    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __init__(self, *arguments: object, **named: object) -> None:
            super().__init__(*arguments, directory=str(folder), **named)  # type: ignore[arg-type]

        def do_GET(self) -> None:
            if self.path.startswith("/simple/"):
                self._send_page(pages.get(self.path.removeprefix("/simple/").strip("/")))
            else:
                super().do_GET()

        def _send_page(self, page: bytes | None) -> None:
            self.send_response(200 if page is not None else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page or b"")))
            # As the real index does: uv then caches pages and need not ask again.
            self.send_header("Cache-Control", "max-age=600")
            self.end_headers()
            self.wfile.write(page or b"")

        def log_message(self, *arguments: object) -> None:
            """Keep quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Index(f"http://127.0.0.1:{server.server_address[1]}/simple/", folder)
        server.shutdown()


def _pages(folder: Path) -> dict[str, bytes]:
    links: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        link = f'<a href="/{html.escape(path.name)}#sha256={digest}">{path.name}</a><br>'
        links.setdefault(project_of(path.name), []).append(link)
    return {
        project: f"<!DOCTYPE html><html><body>{''.join(found)}</body></html>".encode()
        for project, found in links.items()
    }
