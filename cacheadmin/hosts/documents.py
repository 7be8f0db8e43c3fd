"""Observations as JSON, checked when they are read: another host wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.evidence.observations import Observation

if TYPE_CHECKING:
    from pydantic import TypeAdapter

#: A host of ten thousand environments tells less; more is no observation of ours.
MOST_BYTES = 64 * 1024 * 1024

_LONGEST_WORDS = 300


class Unbelievable(ValueError):
    """A document that no release of ours writes; its words say what is wrong."""


def encode(observation: Observation) -> bytes:
    """Return an observation as JSON."""
    return _adapter().dump_json(observation)


def decode(document: bytes | str) -> Observation:
    """Return the observation that a document holds. Raises Unbelievable."""
    from pydantic import ValidationError

    if len(document) > MOST_BYTES:
        raise Unbelievable(f"it is larger than {MOST_BYTES} bytes")
    try:
        return _adapter().validate_json(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise Unbelievable(f"{where}: {first['msg']}"[:_LONGEST_WORDS]) from None


def _adapter() -> TypeAdapter[Observation]:
    from pydantic import TypeAdapter

    return TypeAdapter(Observation)
