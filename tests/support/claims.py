"""What a demo tells: steps, sentences, output of commands, and claims that must hold."""

from __future__ import annotations

from tests.support.cacheadmin_cli import Result

_SHOWN_LINES = 24


class ClaimError(Exception):
    """A claim of the demo does not hold."""


def step(title: str) -> None:
    """Begin a part of the story."""
    print(f"\n== {title}", flush=True)


def say(sentence: str) -> None:
    """Tell something that is not checked."""
    print(f"   {sentence}", flush=True)


def claim(holds: bool, words: str) -> None:
    """Tell something that is checked; raise ClaimError where it does not hold."""
    if not holds:
        raise ClaimError(words)
    print(f"   true: {words}", flush=True)


def quote(text: str) -> None:
    """Show what a program said."""
    for line in text.strip().splitlines():
        print(f"  | {line}", flush=True)


def show(result: Result, command: str) -> Result:
    """Show a command with the first lines of its output and its exit code."""
    print(f"\n  $ {command}")
    lines = (result.stdout + result.stderr).splitlines()
    for line in lines[:_SHOWN_LINES]:
        print(f"  | {line}")
    if len(lines) > _SHOWN_LINES:
        print(f"  | ... {len(lines) - _SHOWN_LINES} more lines")
    print(f"  (code {result.code})")
    return result
