"""Send a message by apprise, in a process of its own.

apprise knows more than a hundred services, by code of as many authors, and
talks to servers that may hang. So it runs in a child process that is killed
when its time is over, prints nothing, and answers with one JSON line a URL.
What it says of failures is not shown: it may quote the URL, which holds
passwords. Only what is surely none comes out: a status code, or a kind of error.
"""

from __future__ import annotations

import json
import logging
import os
import re
import select
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import field
from importlib import import_module
from importlib.util import find_spec

from cacheadmin.values import frozen

# Longer than apprise waits for a server to connect and to answer.
_PATIENCE_SECONDS = 30.0
_MAX_ANSWER = 1 << 20


@frozen
class Destination:
    """One URL that messages go to."""

    url: str = field(repr=False)
    """The URL with its secrets: never to be printed."""

    where: str
    """Where the policy or a file names it, in words that may be printed."""

    @property
    def shown(self) -> str:
        """What may be printed of it."""
        scheme = self.url.partition("://")[0]
        plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,20}", scheme) is not None
        return f"{scheme}:// ({self.where})" if plain else self.where


def is_installed() -> bool:
    """Whether apprise is there; it is not loaded."""
    return find_spec("apprise") is not None


def send(
    to: Sequence[Destination],
    title: str,
    text: str,
    patience: float = _PATIENCE_SECONDS,
    *,
    only_check: bool = False,
) -> list[str]:
    """Send one message to each URL; return for each why it failed, empty where it was taken.

    ``patience`` is in seconds, for all of them together. ``only_check``: send
    nothing, and look only whether apprise knows such URLs.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _answer(writing, [one.url for one in to], None if only_check else (title, text))
    os.close(writing)
    try:
        said = _read(reading, time.monotonic() + patience)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    problems = [f"no answer within {patience:g} s"] * len(to)
    for line in said.splitlines(keepends=True):
        if line.endswith(b"\n"):
            number, problem = json.loads(line)
            problems[number] = problem
    return problems


def _read(fd: int, until: float) -> bytes:
    said = b""
    while len(said) < _MAX_ANSWER:
        ready, _, _ = select.select([fd], [], [], max(0.0, until - time.monotonic()))
        part = os.read(fd, 1 << 16) if ready else b""
        if not part:
            break
        said += part
    return said


def _answer(writing: int, urls: list[str], message: tuple[str, str] | None) -> None:
    """Send, answer, and end this process, whatever happens."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        # Nothing of what services print may reach the command's output.
        nowhere = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nowhere, fd)
        threads = [
            threading.Thread(target=_send_one, args=(writing, number, url, message))
            for number, url in enumerate(urls)
        ]
        _load()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        os._exit(0)


def _load() -> None:
    """Load apprise, once, before threads need it."""
    import_module("apprise")
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(_reasons)


class _Reasons(logging.Handler):
    """Remembers, for each thread, what a warning says that is surely no secret."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.reason = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a status code, or the kind of error, from a warning."""
        text = record.getMessage()
        code = re.search(r"error=(\d{3})\b", text)
        if code is not None:
            self.reason.text = f"the server answered with {code.group(1)}"
        elif re.search(r"onnection error|onnect", text):
            self.reason.text = "the server can't be reached, or closed the connection"


_reasons = _Reasons()


def _send_one(writing: int, number: int, url: str, message: tuple[str, str] | None) -> None:
    try:
        problem = _problem(url, message)
    except Exception as error:
        # The class alone: what an error says may quote the URL.
        problem = f"apprise failed ({type(error).__name__})"
    os.write(writing, json.dumps([number, problem]).encode() + b"\n")


def _problem(url: str, message: tuple[str, str] | None) -> str:
    import apprise

    service = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    if service is None:
        return "apprise knows no such URL"
    if message is None:
        return ""
    title, text = message
    if service.notify(title=title, body=text, body_format=apprise.NotifyFormat.TEXT):
        return ""
    return getattr(_reasons.reason, "text", "the service did not take it")
