"""What reaches the terminal: data on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TextIO

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.errors import CacheadminError
from cacheadmin.report.width import terminal_width
from cacheadmin.text.escapes import printable
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Color(StrEnum):
    """When to colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@frozen
class Settings:
    """The global options of this call."""

    quiet: bool = False
    """Whether nothing is printed when all is well (``--quiet``)."""
    verbose: bool = False
    """Whether more is printed, and tracebacks are shown (``--verbose``)."""
    color: Color = Color.AUTO
    """When colours are used (``--color``)."""
    wide: bool = False
    """Whether tables are shown whole, whatever the terminal's width (``--wide``)."""


settings = Settings()


def fit_terminal() -> None:
    """Fit tables and sentences on stdout to its width, if it is a terminal."""
    if not sys.stdout.isatty():
        terminal_width.set(None)
        return
    import shutil

    terminal_width.set(shutil.get_terminal_size((80, 24)).columns)


def change(**options: Any) -> None:
    """Set global options that were given, wherever they stood."""
    global settings  # noqa: PLW0603
    settings = replace(settings, **options)
    if settings.wide:
        terminal_width.set(None)


def _say(text: str) -> None:
    """Write to stderr, where that is possible.

    A log on a full disk, a reader that has left or a terminal that was closed stops no
    command, and changes no exit code: what was done, or refused, is the same. Where the
    disk has room again the stream itself tries once more what it could not write.
    """
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


# Whether a line of progress stands on the terminal, which any other line has to replace.
_progress_is_shown = False


def show_progress(text: str) -> None:
    """Draw a line of progress on stderr, over the last one."""
    global _progress_is_shown  # noqa: PLW0603
    _progress_is_shown = True
    _say(f"\r\x1b[K{text}")


def clear_progress() -> None:
    """Take the line of progress away, if there is one."""
    global _progress_is_shown  # noqa: PLW0603
    if _progress_is_shown:
        _progress_is_shown = False
        _say("\r\x1b[K")


def data(text: str | Iterable[str], *, encoding: str | None = None) -> None:
    """Print a result to stdout: a text, or its pieces.

    In the terminal's encoding, or in one that the text names itself. Where the reader has
    left (`| head`) it is thrown away: a complaint would reach no one, and the command ends
    with its own exit code. Raises CacheadminError.
    """
    clear_progress()
    with _told_when_lost():
        pieces = (text,) if isinstance(text, str) else text
        if encoding is None:
            sys.stdout.writelines(pieces)
            sys.stdout.write("\n")
        else:
            sys.stdout.flush()
            sys.stdout.buffer.writelines(piece.encode(encoding) for piece in pieces)
            sys.stdout.buffer.write(b"\n")


def raw(content: bytes) -> None:
    """Print bytes to stdout as they are, with no newline after them. Raises as ``data`` does."""
    clear_progress()
    with _told_when_lost():
        sys.stdout.flush()
        sys.stdout.buffer.write(content)


def finish() -> None:
    """Write out what was printed so far. Raises as ``data`` does."""
    with _told_when_lost():
        sys.stdout.flush()


def throw_away() -> None:
    """Keep Python from writing once more, as it ends, what could not be written to stdout."""
    _throw_away(sys.stdout)


def let_go() -> None:
    """Write out what both streams still hold, where that is possible, and throw the rest away.

    Python would complain of it as it ends, and leave with a code of its own.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _throw_away(stream)


def _throw_away(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def _told_when_lost() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        throw_away()
    except OSError as error:
        throw_away()
        reason = error.strerror or type(error).__name__
        raise CacheadminError(
            f"standard output can't be written: {reason}",
            hint="what a prune has done is told by `cacheadmin runs list POLICY`",
        ) from error


def note(message: str) -> None:
    """Print a remark to stderr; nothing with ``--quiet``."""
    if not settings.quiet:
        clear_progress()
        _say(f"cacheadmin: {printable(message)}\n")


def warning(message: str) -> None:
    """Print a warning to stderr, with ``--quiet`` too: not all is well."""
    clear_progress()
    _say(f"cacheadmin: {_coloured('warning', 'yellow')}: {printable(message)}\n")


def failure(error: CacheadminError) -> None:
    """Print an error: the line, its details, and what to do."""
    clear_progress()
    label = f"{error.label}: " if error.label else ""
    lines = [f"cacheadmin: {_coloured(label, 'red')}{printable(error.message)}"]
    lines += [f"  {printable(detail)}" for detail in error.details]
    if error.hint:
        lines.append(f"  {printable(error.hint)}")
    _say("\n".join(lines) + "\n")


_PLAIN = {
    ": Value error, ": ": ",
    "Input should be a valid integer, unable to parse string as an integer": "not a whole number",
    "Input should be a valid integer": "not a whole number",
    "Input should be greater than or equal to": "must be at least",
    "Input should be less than or equal to": "must be at most",
}


def usage(error: Exception) -> None:
    """Print a wrong call (typer's UsageError) in one line, with where to read on."""
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    if type(error).__name__ == "NoArgsIsHelpError":
        data(message)
        return
    # What stands at its end may be pydantic's own.
    for theirs, plain in _PLAIN.items():
        message = message.replace(theirs, plain)
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "cacheadmin"
    _say(f"cacheadmin: {printable(message)} (see `{printable(command)} --help`)\n")


def unexpected(error: Exception) -> None:
    """Print an unexpected error; its traceback only with ``--verbose``."""
    if settings.verbose:
        import traceback  # noqa: PLC0415  hardly any call fails so

        _say("".join(traceback.format_exception(error)))
    kind = type(error).__name__
    _say(
        f"cacheadmin: unexpected error: {kind}: {printable(str(error))}\n"
        "  please report it with the output of the same command under --verbose\n"
    )


def colour_stdout() -> bool:
    """Whether tables on stdout may carry colour."""
    return _wants_colour(sys.stdout.isatty())


def _wants_colour(terminal: bool) -> bool:
    if settings.color is Color.ALWAYS:
        return True
    return settings.color is Color.AUTO and terminal and not os.environ.get("NO_COLOR")


def _coloured(text: str, color: str) -> str:
    return typer.style(text, fg=color) if text and _wants_colour(sys.stderr.isatty()) else text
