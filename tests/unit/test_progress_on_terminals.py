"""The progress bar is gone when the answer is printed: both may be on one terminal."""

from __future__ import annotations

import io
import itertools
import re

import pytest

from cacheadmin.cli.showing import progress_bar


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_an_answer_printed_within_the_bar_begins_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    seconds = itertools.count()
    monkeypatch.setattr("time.monotonic", lambda: float(next(seconds)))
    with progress_bar() as report:
        assert report is not None
        for number in range(1, 5):
            report("environments scanned", number, 4)
        screen.write("status  kind\n")
        report("environments scanned", 1, 2)
    drawn = screen.getvalue()
    assert "environments scanned: 3 of 4" in drawn
    assert re.sub(r"[^\n]*\r\x1b\[K", "", drawn) == "status  kind\n"
