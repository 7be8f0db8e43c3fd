"""Make any name safe to print: file names belong to users, terminals to admins.

A name may hold newlines, escape sequences that repaint a terminal, or bytes
that are no UTF-8. Every name that reaches a person passes through here; JSON
has its own escapes and does not need it.
"""

from __future__ import annotations

import unicodedata

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
