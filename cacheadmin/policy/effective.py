"""The effective policy: every key with its value and where that came from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, SecretStr

from cacheadmin.policy.quantities import Share, duration_words
from cacheadmin.policy.values import masked_url

if TYPE_CHECKING:
    from cacheadmin.policy.loaded import LoadedPolicy


def effective_values(loaded: LoadedPolicy) -> Iterator[tuple[str, Any, str]]:
    """Yield (dotted key, value as plain data, origin) of every key.

    Origins: ``FILE:LINE``, ``default``, or ``built-in`` for the policy of a
    caller who named none.
    """
    fallback = "default" if loaded.path is not None else "built-in"
    for key, value in _flat(loaded.policy, ""):
        origin = loaded.origins.get(key, fallback)
        if isinstance(value, str) and key.startswith("audit.") and origin == fallback:
            # A rule's severity may be written as a word, without a key of its own.
            origin = loaded.origins.get(key.removesuffix(".severity"), fallback)
        yield key, plain(value), origin


def _flat(model: BaseModel, prefix: str) -> Iterator[tuple[str, Any]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
    # What audits are told of rules: their names are not the model's.
    for name, value in (model.model_extra or {}).items():
        if isinstance(value, BaseModel):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def plain(value: Any) -> Any:
    """Return a value as JSON and YAML spell it; durations and shares as in a policy.

    Of a URL that holds secrets nothing is shown but its scheme.
    """
    shown = value
    if isinstance(value, timedelta):
        shown = duration_words(value)
    elif isinstance(value, Share):
        shown = f"{value.percent:g}%"
    elif isinstance(value, date):
        shown = value.isoformat()
    elif isinstance(value, SecretStr):
        shown = masked_url(value.get_secret_value())
    elif isinstance(value, BaseModel):
        shown = {name: plain(getattr(value, name)) for name in type(value).model_fields}
    elif isinstance(value, dict):
        shown = {key: plain(inner) for key, inner in value.items()}
    elif isinstance(value, list | tuple):
        shown = [plain(inner) for inner in value]
    return shown
