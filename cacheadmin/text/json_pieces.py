"""JSON as text, piece by piece: the same that ``json.dumps(value, indent=2)`` returns.

Python indents in Python, a generator for each value, and makes one text of all. A
plan of fifty thousand archives took most of its time and memory for that. Here a
document's rows may be made as they are printed (an iterator in place of a list),
each is one piece, and strings, of which most of a document consists, are joined
without a call for each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any

_STEP = "  "


def pieces(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the text of a document in pieces; its values may be iterators of rows."""
    if not document:
        yield "{}"
        return
    between = "{\n"
    for key, value in document.items():
        yield f"{between}{_STEP}{encode_basestring_ascii(key)}: "
        if isinstance(value, Iterator):
            yield from _rows(value)
        elif isinstance(value, list):
            yield from _rows(iter(value))
        else:
            yield _text(value, _STEP)
        between = ",\n"
    yield "\n}"


def _rows(rows: Iterator[Any]) -> Iterator[str]:
    inner = _STEP + _STEP
    between = f"[\n{inner}"
    for row in rows:
        yield between + _text(row, inner)
        between = f",\n{inner}"
    yield f"\n{_STEP}]" if between.startswith(",") else "[]"


def _text(value: Any, pad: str) -> str:
    """Return a value as text; ``pad`` is how far its first line is indented."""
    kind = type(value)
    if kind is str:
        return encode_basestring_ascii(value)
    if kind is dict:
        return _object(value, pad)
    if kind is list or kind is tuple:
        return _array(value, pad)
    if value is None:
        return "null"
    if kind is int:
        return int.__repr__(value)
    # Booleans, numbers, names of enumerations.
    return json.dumps(value) if isinstance(value, str | int | float) else _other(value, pad)


def _other(value: Any, pad: str) -> str:
    if isinstance(value, dict):
        return _object(value, pad)
    return _array(value, pad) if isinstance(value, list | tuple) else json.dumps(value)


def _object(value: dict[Any, Any], pad: str) -> str:
    if not value:
        return "{}"
    inner = pad + _STEP
    lines = [f"{_key(key)}: {_text(one, inner)}" for key, one in value.items()]
    return f"{{\n{inner}" + f",\n{inner}".join(lines) + f"\n{pad}}}"


def _key(key: Any) -> str:
    if isinstance(key, str):
        return encode_basestring_ascii(key)
    # Numbers and None as json has them: as strings.
    return json.dumps({key: 0})[1:].rpartition(":")[0]


def _array(value: Sequence[Any], pad: str) -> str:
    if not value:
        return "[]"
    inner = pad + _STEP
    if set(map(type, value)) == {str}:
        lines = list(map(encode_basestring_ascii, value))
    else:
        lines = [_text(one, inner) for one in value]
    return f"[\n{inner}" + f",\n{inner}".join(lines) + f"\n{pad}]"
