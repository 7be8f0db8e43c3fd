"""Bytes as text any place takes: ``%XX`` for those that are not themselves.

As `urllib.parse` writes and reads it, which loads more modules than all of a
quick command's text is worth.
"""

from __future__ import annotations

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~")

PATH = b"/"


def percent_encoded(data: bytes, *, safe: bytes = PATH) -> str:
    """Return bytes as ASCII; letters, digits, ``_.-~`` and ``safe`` stand for themselves."""
    themselves = _UNRESERVED | frozenset(safe)
    return "".join(chr(one) if one in themselves else f"%{one:02X}" for one in data)


def percent_decoded(text: str) -> bytes:
    """Return the bytes that a text stands for; a ``%`` without two digits is itself."""
    first, *others = text.encode().split(b"%")
    found = [first]
    for other in others:
        try:
            found += [bytes((int(other[:2], 16),)), other[2:]] if _digits(other) else [b"%", other]
        except ValueError:
            found += [b"%", other]
    return b"".join(found)


def _digits(text: bytes) -> bool:
    return len(text) > 1 and text[:2].isalnum()
