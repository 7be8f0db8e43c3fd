"""Observations as JSON, checked when they are read: another host wrote them.

JSON has no bytes that are not UTF-8, and a path has: any account may call a folder as it
likes. Such a byte stands as ``%XX`` in a document, and ``%`` as ``%25``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cacheadmin.evidence.observations import Observation
from cacheadmin.hosts.told_together import accounts_by_size, told_together
from cacheadmin.text.percent import percent_decoded
from cacheadmin.values import names_of

if TYPE_CHECKING:
    from pydantic import TypeAdapter

#: A host of ten thousand environments tells less; more is no observation of ours.
MOST_BYTES = 64 * 1024 * 1024

_LONGEST_WORDS = 300


class Unbelievable(ValueError):
    """A document that no release of ours writes; its words say what is wrong."""


def encode(observation: Observation) -> bytes:
    """Return an observation as JSON.

    One that is larger than others believe is told in less words: of the account with
    most of it what is used, but not each environment, until it is small enough. What one
    account multiplies must not silence the host for all others.
    """
    document = _adapter().dump_json(_with_texts(observation, _storable))
    for uid in accounts_by_size(observation):
        if len(document) <= MOST_BYTES:
            break
        observation = told_together(observation, uid)
        document = _adapter().dump_json(_with_texts(observation, _storable))
    return document


def decode(document: bytes | str) -> Observation:
    """Return the observation that a document holds. Raises Unbelievable."""
    from pydantic import ValidationError

    if len(document) > MOST_BYTES:
        raise Unbelievable(f"it is larger than {MOST_BYTES} bytes")
    try:
        told = _adapter().validate_json(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise Unbelievable(f"{where}: {first['msg']}"[:_LONGEST_WORDS]) from None
    observation: Observation = _with_texts(told, _told)
    return observation


def _with_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return values, and tuples of them, with another text in the place of each."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_with_texts(one, change) for one in value)
    names = names_of(type(value))
    if names is None:
        return value
    return type(value)(**{name: _with_texts(getattr(value, name), change) for name in names})


def _storable(text: str) -> str:
    text = text.replace("%", "%25")
    if text.isascii():
        return text
    return "".join(
        f"%{ord(one) - 0xDC00:02X}" if 0xDC80 <= ord(one) <= 0xDCFF else one for one in text
    )


def _told(text: str) -> str:
    return os.fsdecode(percent_decoded(text)) if "%" in text else text


def _adapter() -> TypeAdapter[Observation]:
    from pydantic import TypeAdapter

    return TypeAdapter(Observation)
