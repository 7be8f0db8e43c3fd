"""Make any name safe to print: file names belong to users, terminals to admins.

A name may hold newlines, escape sequences that repaint a terminal, or bytes
that are no UTF-8. Every name that reaches a person passes through here; JSON
has its own escapes and does not need it.
"""

from __future__ import annotations

import os
import shlex
import unicodedata
from collections.abc import Iterable

# Cc control, Cf format (bidirectional overrides), Cs lone surrogate, Co
# private use, Cn unassigned, Zl and Zp line and paragraph separators.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(name: str) -> str:
    """Return ``name`` with every character that could move a cursor escaped.

    Bytes that were not UTF-8 (surrogate escapes) come out as ``\\xNN``. A
    backslash is doubled only where something else had to be escaped, so that
    ordinary names stay as they are.
    """
    if name.isascii() and name.isprintable():
        return name
    if not any(unicodedata.category(character) in _UNPRINTABLE for character in name):
        return name
    return "".join(_escape(character) for character in name)


def shell_word(text: str) -> str:
    """Return a text as one word of a command line that can be read, copied and run.

    As ``shlex.quote``. What a terminal would obey stands in ``$'...'``, which
    bash, zsh and ksh know; POSIX shells before 2024 do not (`posix_word`).
    """
    if printable(text) == text:
        return shlex.quote(text)
    inner = "".join(
        f"\\{one}"
        if one in "'\\"
        else one
        if printable(one) == one
        else _bytes_of(one, "\\x", "02x")
        for one in text
    )
    return f"$'{inner}'"


def shell_command(words: Iterable[str]) -> str:
    """Return words as one command line that can be read, copied and run (`shell_word`)."""
    return " ".join(map(shell_word, words))


def posix_word(text: str) -> str:
    """Return a text as one word for any POSIX shell, of characters that can be read.

    As ``shlex.quote``; what a terminal would obey is written by ``printf``, whose
    output loses line breaks at its end: these stand as they are.
    """
    if printable(text) == text:
        return shlex.quote(text)
    body = text.rstrip("\n")
    inner = "".join(
        r"\\" if one == "\\" else one if printable(one) == one else _bytes_of(one, "\\0", "03o")
        for one in body
    )
    end = text[len(body) :]
    return f'"$(printf %b {shlex.quote(inner)})"' + (shlex.quote(end) if end else "")


def _bytes_of(character: str, begin: str, form: str) -> str:
    try:
        encoded = os.fsencode(character)
    except UnicodeEncodeError:
        # Half a character, as JSON may hold one: no file is called that.
        encoded = character.encode("utf-8", "surrogatepass")
    return "".join(f"{begin}{byte:{form}}" for byte in encoded)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if character == "\\":
        return "\\\\"
    if unicodedata.category(character) in _UNPRINTABLE:
        return (
            character.encode("unicode_escape").decode("ascii")
            if code < 0xD800 or code > 0xDFFF
            else f"\\u{code:04x}"
        )
    return character
