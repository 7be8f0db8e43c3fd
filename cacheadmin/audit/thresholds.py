"""The numbers of audit rules: what kind each is, and how a policy writes it.

A rule declares each threshold by its default alone. The default's type says
what a policy may write there; ``FromPolicy`` is a default that stands
elsewhere in the policy, so that one number need not be written twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from cacheadmin.policy.quantities import (
    Share,
    duration_words,
    parse_duration,
    parse_share,
    parse_size,
)
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.policy.model import Policy


class ThresholdKind(StrEnum):
    """What a threshold may be; the word is for people."""

    YES_OR_NO = "true or false"
    COUNT = "whole number"
    NUMBER = "number"
    SIZE = "size such as 200GiB"
    SIZE_OR_SHARE = "size such as 200GiB, or share such as 10%"
    SHARE = "share such as 10%"
    DURATION = "duration such as 30d"
    TEXT = "text"
    LIST = "list of texts"


@frozen
class FromPolicy:
    """A default that stands elsewhere in the policy."""

    key: str
    """The dotted key (``prune.budget.max_size``); where it is not set, the threshold is None."""
    kind: ThresholdKind
    """What the policy may write for the threshold."""


@frozen
class Words:
    """A default that is a list of words."""

    default: tuple[str, ...]
    """The words where the policy names none."""
    known: tuple[str, ...]
    """The words that the policy may name; others are an error."""


def kind_of(default: Any) -> ThresholdKind:
    """Return what a policy may write for a threshold of this default."""
    if isinstance(default, FromPolicy):
        return default.kind
    if isinstance(default, Words):
        return ThresholdKind.LIST
    for kind, type_ in _TYPES:
        if isinstance(default, type_):
            return kind
    raise TypeError(f"no threshold can have the default {default!r}")


# bool before int, which it is a kind of.
_TYPES: tuple[tuple[ThresholdKind, type], ...] = (
    (ThresholdKind.YES_OR_NO, bool),
    (ThresholdKind.COUNT, int),
    (ThresholdKind.NUMBER, float),
    (ThresholdKind.SHARE, Share),
    (ThresholdKind.DURATION, timedelta),
    (ThresholdKind.TEXT, str),
    (ThresholdKind.LIST, tuple),
)


def default_in(policy: Policy, default: Any) -> Any:
    """Return what a threshold is when the policy does not name it."""
    if isinstance(default, Words):
        return default.default
    if not isinstance(default, FromPolicy):
        return default
    value: Any = policy
    for part in default.key.split("."):
        value = getattr(value, part)
    return value


def default_words(default: Any) -> str:
    """Return a default as the policy would write it, or the key it is taken from."""
    if isinstance(default, FromPolicy):
        return default.key
    if isinstance(default, Words):
        return " ".join(default.default)
    if isinstance(default, timedelta):
        return duration_words(default)
    if isinstance(default, Share):
        return f"{default.percent:g}%"
    if isinstance(default, bool):
        return "true" if default else "false"
    return " ".join(default) if isinstance(default, tuple) else str(default)


def read_threshold(default: Any, value: object) -> Any:
    """Return what a policy wrote, as the rule takes it. Raises ValueError with what is wanted."""
    kind = kind_of(default)
    read = _READERS[kind](value)
    if read is None:
        raise ValueError(f"must be a {kind.value}, not {value!r}"[:200])
    if isinstance(default, Words):
        unknown = [word for word in read if word not in default.known]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is none of {', '.join(default.known)}"[:200])
    return read


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _number(value: object) -> float | None:
    return float(value) if type(value) in (int, float) and value >= 0 else None  # type: ignore[arg-type,operator]


def _size(value: object) -> int | None:
    return parse_size(value) if isinstance(value, str) else _count(value)


def _size_or_share(value: object) -> int | Share | None:
    if isinstance(value, str) and value.strip().endswith("%"):
        return parse_share(value)
    return _size(value)


def _list(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
        return None
    return value


_READERS: Mapping[ThresholdKind, Callable[[object], Any]] = {
    ThresholdKind.YES_OR_NO: lambda value: value if isinstance(value, bool) else None,
    ThresholdKind.COUNT: _count,
    ThresholdKind.NUMBER: _number,
    ThresholdKind.SIZE: _size,
    ThresholdKind.SIZE_OR_SHARE: _size_or_share,
    ThresholdKind.SHARE: lambda value: parse_share(value) if isinstance(value, str) else None,
    ThresholdKind.DURATION: lambda value: parse_duration(value) if isinstance(value, str) else None,
    ThresholdKind.TEXT: lambda value: value if isinstance(value, str) else None,
    ThresholdKind.LIST: _list,
}
