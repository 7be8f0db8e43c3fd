"""Where a uv upgrades itself from, without a network: wheels of real uv, and its release page.

    write_uv_wheel(folder, "0.13.9")            # for pip and uv pip, by find-links
    with release_page("0.13.9", program) as url:  # for `uv self update`, as
        ... UV_INSTALLER_GHE_BASE_URL=url         # of a GitHub of one's own

What runs is the real uv in both cases: it asks for the newest release, fetches the
installer that it is told of, and starts it. Only the installer is ours: it puts
``program`` where the receipt of the installation says.
"""

from __future__ import annotations

import http.server
import json
import shutil
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.uv_releases import uv_binary

_INSTALLER = """#!/bin/sh
set -e
cp {program} "$HOME/.local/bin/uv.new"
mv "$HOME/.local/bin/uv.new" "$HOME/.local/bin/uv"
sed -i 's/"version": "[^"]*"/"version": "{version}"/g' "$HOME/.config/uv/uv-receipt.json"
"""


def write_uv_wheel(folder: Path, version: str) -> None:
    """Write a wheel of a real uv release, as its makers do: the binary is a script of it."""
    folder.mkdir(exist_ok=True)
    information = f"uv-{version}.dist-info"
    texts = {
        f"{information}/METADATA": f"Metadata-Version: 2.3\nName: uv\nVersion: {version}\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\n"
        "Root-Is-Purelib: false\nTag: py3-none-any\n",
    }
    program = f"uv-{version}.data/scripts/uv"
    record = "".join(f"{name},,\n" for name in (*texts, program, f"{information}/RECORD"))
    with zipfile.ZipFile(folder / f"uv-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in {**texts, f"{information}/RECORD": record}.items():
            wheel.writestr(name, text)
        entry = zipfile.ZipInfo(program)
        entry.external_attr = 0o100755 << 16
        with wheel.open(entry, "w") as out, uv_binary(version).open("rb") as binary:
            shutil.copyfileobj(binary, out)


def receipt(home: str, version: str) -> str:
    """Return what the standalone installer leaves as ``~/.config/uv/uv-receipt.json``."""
    return json.dumps(
        {
            "binaries": ["uv"],
            "binary_aliases": {},
            "install_layout": "flat",
            "install_prefix": f"{home}/.local/bin",
            "modify_path": True,
            "provider": {"source": "cargo-dist", "version": "0.25.1"},
            "source": {
                "app_name": "uv",
                "name": "uv",
                "owner": "astral-sh",
                "release_type": "github",
            },
            "version": version,
        }
    )


@contextmanager
def release_page(version: str, program: str) -> Iterator[str]:
    """Serve the releases of uv as GitHub does, the newest being ``version``; yield the URL.

    ``program`` is that release's binary, by a path that the installer may read.
    """

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            installer = f"http://{self.headers['Host']}/uv-installer.sh"
            if self.path == "/uv-installer.sh":
                body = _INSTALLER.format(program=program, version=version)
            elif self.path.endswith("/releases/latest"):
                asset = {"url": installer, "browser_download_url": installer,
                         "name": "uv-installer.sh"}  # fmt: skip
                release = {"tag_name": version, "name": version, "url": installer,
                           "prerelease": False, "assets": [asset]}  # fmt: skip
                body = json.dumps(release)
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
