"""The words that schemas of documents are written in: JSON Schema, as short as the documents.

A key that a row lists is always there, unless it is among the optional ones.
Rows may have more keys than are listed: releases to come add some.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from enum import StrEnum

Shape = dict[str, Any]

TEXT: Shape = {"type": "string"}
YES_OR_NO: Shape = {"type": "boolean"}
COUNT: Shape = {"type": "integer", "minimum": 0}
INTEGER: Shape = {"type": "integer"}
BYTES: Shape = {"type": "integer", "minimum": 0, "description": "bytes"}
SECONDS: Shape = {"type": "number", "minimum": 0, "description": "seconds"}
SIGNED_SECONDS: Shape = {"type": "number", "description": "seconds; negative: behind"}
SHARE: Shape = {"type": "number", "minimum": 0, "maximum": 1}
TIME: Shape = {"type": "string", "format": "date-time", "description": "RFC 3339, in UTC"}
DAY: Shape = {"type": "string", "format": "date"}
ANYTHING: Shape = {}


def maybe(shape: Shape) -> Shape:
    """Return a shape that may be null too."""
    return {"anyOf": [shape, {"type": "null"}]}


def several(shape: Shape) -> Shape:
    """Return a list of a shape."""
    return {"type": "array", "items": shape}


def by_name(shape: Shape) -> Shape:
    """Return a mapping from names that no schema knows to a shape."""
    return {"type": "object", "additionalProperties": shape}


def words(known: Iterable[str] | type[StrEnum]) -> Shape:
    """Return one of a closed set of words."""
    return {"enum": [str(word) for word in known]}


def row(keys: Mapping[str, Shape], **optional: Shape) -> Shape:
    """Return an object with these keys, and perhaps the optional ones."""
    return {
        "type": "object",
        "properties": {**keys, **optional},
        "required": list(keys),
    }


def one_of(*shapes: Shape) -> Shape:
    """Return a shape that is any of several."""
    return {"anyOf": list(shapes)}
