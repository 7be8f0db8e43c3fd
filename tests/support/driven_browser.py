"""A browser that is driven: any width, on paper too, with questions asked inside of the page.

    with driven_browser(folder) as browser:       # skips where there is no Chromium
        browser.show(content, width=375)
        browser.ask("document.documentElement.scrollWidth")
        browser.violations()                      # what axe finds
        browser.picture()                         # PNG of the whole page

Chromium speaks its DevTools protocol over two pipes: JSON, each message ended
by a NUL. The page is a file, and there is no network in it.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tests.support.browsers import NAMES, OPTIONS

# Chromium reads commands from 3 and answers on 4, whatever these were before.
_FOR_COMMANDS, _FOR_ANSWERS = 3, 4

# Best practices of page structure; colour needs what a headless page knows.
_AXE = """
axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations.map(
  one => one.id + ": " + one.nodes.map(node => node.html.slice(0, 200)).join(" | ")))
"""


class DrivenBrowser:
    """One page of a browser without a window."""

    def __init__(self, folder: Path, commands: int, answers: int) -> None:
        self._folder = folder
        self._shown = 0
        self._commands = commands
        self._answers = answers
        self._number = 0
        self._rest = b""
        self._session = ""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        # Only so that axe can be put in; what the policy forbids is tested elsewhere.
        self._call("Page.setBypassCSP", enabled=True)
        self._call("Page.enable")

    def show(self, content: bytes, *, width: int, dark: bool = False, paper: bool = False) -> None:
        """Load a page at a width in CSS pixels, with its scripts run."""
        # A name for each: what was shown before must not answer for this.
        self._shown += 1
        file = self._folder / f"driven-{self._shown}.html"
        file.write_bytes(content)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self._call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        media = "print" if paper else "screen"
        self._call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self._call("Page.navigate", url=file.as_uri())
        loaded = f"document.readyState == 'complete' && location.href.endsWith('/{file.name}')"
        deadline = time.monotonic() + 60
        while not self.ask(loaded):
            assert time.monotonic() < deadline, "the page was not loaded"
        self.settle()

    def ask(self, expression: str) -> Any:
        """Return what an expression, or its promise, comes to inside of the page."""
        answer = self._call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def settle(self) -> None:
        """Wait until the browser has drawn what was changed."""
        frame = "requestAnimationFrame"
        assert self.ask(f"new Promise(done => {frame}(() => {frame}(() => done(true))))")

    def violations(self) -> list[str]:
        """Return what axe finds: the rule, and the elements that break it."""
        axe = resources.files("axe_core_python").joinpath("axe.min.js").read_text("utf-8")
        self.ask(f"{axe}; true")
        found = self.ask(_AXE)
        assert isinstance(found, list)
        return found

    def picture(self) -> bytes:
        """Return a PNG of the whole page."""
        self._call("Page.getLayoutMetrics")
        data = self._call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        return base64.b64decode(data)

    def paper(self) -> bytes:
        """Return the page as a PDF."""
        return base64.b64decode(self._call("Page.printToPDF", printBackground=True)["data"])

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._commands, data) :]
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return dict(answer["result"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._answers, 1 << 16)
            assert part, "the browser has ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def driven_browser(folder: Path) -> Iterator[DrivenBrowser]:
    """Start a browser; it ends with the block."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser is installed (none of {', '.join(NAMES)} was found)")
    command_read, command_write = os.pipe()
    answer_read, answer_write = os.pipe()
    # By a shell, which can give descriptors these numbers without a fork of ours.
    moved = f'exec 3<&{command_read} 4>&{answer_write}; exec "$@"'
    process = subprocess.Popen(
        [
            *("bash", "-c", moved, "browser", program, *OPTIONS),
            "--remote-debugging-pipe",
            f"--user-data-dir={folder / 'driven-profile'}",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "about:blank",
        ],
        pass_fds=(command_read, answer_write),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "LC_ALL": "C.UTF-8"},
    )
    os.close(command_read)
    os.close(answer_write)
    try:
        yield DrivenBrowser(folder, command_write, answer_read)
    finally:
        os.close(command_write)
        os.close(answer_read)
        process.kill()
        process.wait()
