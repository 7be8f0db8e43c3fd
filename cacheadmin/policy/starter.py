"""The policy that ``policy init`` writes: commented, valid, and from the model itself.

Every key stands there with its default and meaning, so that the starter can't
fall behind the model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from cacheadmin.policy.effective import plain
from cacheadmin.policy.model import Policy
from cacheadmin.policy.values import Section

_REQUIRED = ("version", "name", "cache")


def starter_policy(name: str, cache: str) -> str:
    """Return the text of a starter policy; defaults are commented out."""
    lines = [
        "# Policy of a shared uv cache, see cacheadmin-policy(5).",
        "# Lines that begin with `#` show the default.",
        "",
        f"version: 1  # {_meaning(Policy, 'version')}",
        f"name: {name}",
        f"cache: {_quoted(cache)}  # {_meaning(Policy, 'cache')}",
    ]
    for key in Policy.model_fields:
        if key not in _REQUIRED:
            lines.append("")
            lines += _key(Policy, key, "")
    return "\n".join(lines) + "\n"


def _key(model: type[BaseModel], key: str, indent: str) -> Iterator[str]:
    field = model.model_fields[key]
    default = field.default
    if field.description:
        yield f"{indent}# {field.description}"
    if isinstance(default, Section):
        yield f"#{indent}{key}:"
        for inner in type(default).model_fields:
            yield from (
                line if line.startswith("#") else f"#{line}"
                for line in _key(type(default), inner, indent + "  ")
            )
    else:
        yield f"#{indent}{key}: {_value(default)}"


def _meaning(model: type[BaseModel], key: str) -> str:
    return str(model.model_fields[key].description)


def _value(value: Any) -> str:
    shown = plain(value)
    if shown is None or isinstance(shown, bool | list | dict):
        return json.dumps(shown)
    return str(shown) or '""'


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
