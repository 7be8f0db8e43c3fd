"""Change inputs by chance; keep those by which lines run after each other that never did.

found = fuzz(parser, Corpus(folder, [b"first"]), random.Random(1), seconds=600)
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from tests.support.uv_releases import REPOSITORY

Parser = Callable[[bytes], object]

_OURS = str(REPOSITORY / "cacheadmin") + "/"
_LONGEST = 64 * 1024
_MOST_CHANGES = 6
_PIECES = (
    *(b"\0", b"\xff", b"\n", b"/", b"..", b'"', b"'", b",", b":", b"-", b"#", b" ", b"="),
    *(b"{", b"}", b"[", b"]", b"null", b"true", b"-1", b"1e999", b"NaN", b"1.5", b"\\ud800"),
    *(b"9" * 5000, b"[" * 20_000, b'{"a":' * 5000, b"9223372036854775808", b"\xe2\x80\xae"),
)
_ODD: tuple[Any, ...] = (None, True, -1, 0, 1.5, 2**63, "", "\0", "../..", [], {}, [[]], {"": None})


@dataclass
class Corpus:
    """Inputs that are worth to be changed further, in a folder."""

    folder: Path
    inputs: list[bytes]

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.inputs += [file.read_bytes() for file in sorted(self.folder.glob("input-*"))]

    def keep(self, content: bytes, kind: str = "input") -> Path:
        """Keep one; return its file."""
        file = self.folder / f"{kind}-{hashlib.sha256(content).hexdigest()[:16]}"
        file.write_bytes(content)
        if kind == "input":
            self.inputs.append(content)
        return file


@dataclass
class Found:
    """What came of it."""

    tries: int = 0
    steps: int = 0
    """How many steps from one line of ours to another were seen."""

    seconds: float = 0.0
    """Of a processor, and of this process."""

    failures: list[str] = field(default_factory=list)


def fuzz(
    parser: Parser,
    corpus: Corpus,
    chance: random.Random,
    *,
    seconds: float = 600.0,
    tries: int | None = None,
) -> Found:
    """Try inputs until the time of a processor, or the number of tries, is over.

    On a machine that has other work to do, time by the clock says nothing of how much was tried.
    """
    found, seen = Found(), set[tuple[str, int, int]]()
    waiting = list(corpus.inputs)
    told: set[str] = set()
    begun = time.process_time()
    while time.process_time() - begun < seconds and found.tries != tries:
        known = bool(waiting)
        content = waiting.pop() if waiting else changed(chance, corpus.inputs)
        found.tries += 1
        steps, error = _steps(parser, content)
        if error is not None:
            words = _words(error)
            if words not in told:
                told.add(words)
                found.failures.append(f"{corpus.keep(content, 'failed')}: {words}")
        elif not known and not steps <= seen:
            corpus.keep(content)
        seen |= steps
    found.steps, found.seconds = len(seen), time.process_time() - begun
    return found


def changed(chance: random.Random, inputs: Iterable[bytes]) -> bytes:
    """Return one of the inputs with a few changes."""
    every = list(inputs)
    content = chance.choice(every)
    for _ in range(chance.randint(1, _MOST_CHANGES)):
        content = chance.choice(_CHANGES)(chance, content, every)[:_LONGEST]
    return content


def _spoiled(chance: random.Random, content: bytes, _every: list[bytes]) -> bytes:
    if not content:
        return chance.randbytes(4)
    place = chance.randrange(len(content))
    return content[:place] + chance.randbytes(1) + content[place + 1 :]


def _put_in(chance: random.Random, content: bytes, _every: list[bytes]) -> bytes:
    place = chance.randint(0, len(content))
    return content[:place] + chance.choice(_PIECES) + content[place + chance.randint(0, 3) :]


def _cut_out(chance: random.Random, content: bytes, _every: list[bytes]) -> bytes:
    first, last = sorted((chance.randint(0, len(content)), chance.randint(0, len(content))))
    return content[:first] + content[last:]


def _doubled(chance: random.Random, content: bytes, _every: list[bytes]) -> bytes:
    first, last = sorted((chance.randint(0, len(content)), chance.randint(0, len(content))))
    return content[:last] + content[first:]


def _joined(chance: random.Random, content: bytes, every: list[bytes]) -> bytes:
    other = chance.choice(every)
    return content[: chance.randint(0, len(content))] + other[chance.randint(0, len(other)) :]


def _another_value(chance: random.Random, content: bytes, every: list[bytes]) -> bytes:
    """Exchange one value of a JSON document."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return _put_in(chance, content, every)
    return json.dumps(_exchanged(chance, document)).encode()


def _exchanged(chance: random.Random, value: Any) -> Any:
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(sorted(value))
        if chance.random() < 0.1:
            return {name: one for name, one in value.items() if name != key}
        return {**value, key: _exchanged(chance, value[key])}
    if isinstance(value, list) and value and chance.random() < 0.8:
        place = chance.randrange(len(value))
        return [*value[:place], _exchanged(chance, value[place]), *value[place + 1 :]]
    return chance.choice(_ODD)


_CHANGES = (_spoiled, _put_in, _cut_out, _doubled, _joined, _another_value, _another_value)


def _steps(parser: Parser, content: bytes) -> tuple[set[tuple[str, int, int]], Exception | None]:
    """Return which lines of ours ran after which, and what was raised."""
    steps: set[tuple[str, int, int]] = set()
    last: dict[FrameType, int] = {}

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        if event == "call" and not frame.f_code.co_filename.startswith(_OURS):
            return None
        if event == "line":
            steps.add((frame.f_code.co_filename, last.get(frame, 0), frame.f_lineno))
            last[frame] = frame.f_lineno
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        parser(content)
    except Exception as error:
        return steps, error
    finally:
        sys.settrace(before)
    return steps, None


def _words(error: Exception) -> str:
    """Return what was raised, and where in our code: the same fault has the same words."""
    frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename[0] == "/"]
    where = next((one for one in reversed(frames) if one.filename.startswith(_OURS)), frames[-1])
    place = where.filename.removeprefix(f"{REPOSITORY}/")
    return f"{type(error).__name__} in {place}:{where.lineno}"
