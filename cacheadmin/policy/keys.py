"""The keys of a policy by their dotted names, and what each means."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from cacheadmin.policy.effective import plain
from cacheadmin.policy.model import Policy
from cacheadmin.policy.values import Section

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


@cache
def all_keys() -> dict[str, FieldInfo]:
    """Return every key of a policy, sections before what is in them."""
    return dict(_keys(Policy, ""))


def _keys(model: type[Section], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", field
        if isinstance(field.default, Section):
            yield from _keys(type(field.default), f"{prefix}{name}.")


def key_words(name: str) -> str:
    """Return what a key means and its default; of a section, all keys in it."""
    shown = [
        (key, field)
        for key, field in all_keys().items()
        if (key == name or key.startswith(f"{name}.")) and field.description
    ]
    lines = []
    for key, field in shown:
        lines.append(f"{key}: {field.description}")
        if field.is_required():
            lines.append("  required")
        elif not isinstance(field.default, Section):
            lines.append(f"  default: {_value(field.default)}")
    return "\n".join([*lines, "", "see cacheadmin-policy(5)"])


def _value(value: object) -> str:
    shown = plain(value)
    if shown is None:
        return "none"
    return str(shown).lower() if isinstance(shown, bool) else str(shown) or "empty"
