"""The effective policy: every key with its value and where that came from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from cacheadmin.policy.quantities import Share, duration_words

if TYPE_CHECKING:
    from cacheadmin.policy.loading import LoadedPolicy


def effective_values(loaded: LoadedPolicy) -> Iterator[tuple[str, Any, str]]:
    """Yield (dotted key, value as plain data, origin) of every key.

    Origins: ``FILE:LINE``, ``default``, or ``built-in`` for the policy of a
    caller who named none.
    """
    fallback = "default" if loaded.path is not None else "built-in"
    for key, value in _flat(loaded.policy, ""):
        yield key, plain(value), loaded.origins.get(key, fallback)


def _flat(model: BaseModel, prefix: str) -> Iterator[tuple[str, Any]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def plain(value: Any) -> Any:
    """Return a value as JSON and YAML spell it; durations and shares as in a policy."""
    if isinstance(value, timedelta):
        return duration_words(value)
    if isinstance(value, Share):
        return f"{value.percent:g}%"
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value
