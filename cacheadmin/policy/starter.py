"""The policy that ``policy init`` writes: commented, valid, and from the model itself.

Every key stands there with its default and meaning, so that the starter can't
fall behind the model.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, get_args

from cacheadmin.errors import WrongUsage
from cacheadmin.fs.free_space import not_written
from cacheadmin.policy.effective import plain
from cacheadmin.policy.model import Policy
from cacheadmin.policy.quantities import exact_size
from cacheadmin.policy.values import Section, Size

if TYPE_CHECKING:
    from pydantic import BaseModel

_REQUIRED = ("version", "name", "cache")


def starter_policy(name: str, cache: str) -> str:
    """Return the text of a starter policy; defaults are commented out."""
    lines = [
        f"# yaml-language-server: $schema={schema_file()}",
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


def schema_file() -> str:
    """Return the path of the policy's JSON Schema, for editors that check while one types.

    Where none was installed it is the name of a file beside the policy, as
    ``cacheadmin policy schema > policy.schema.json`` makes it.
    """
    installed = f"{sys.prefix}/share/cacheadmin/schemas/policy.schema.json"
    return installed if os.path.exists(installed) else "policy.schema.json"


def write_starter(path: str, text: str) -> None:
    """Write a new policy file, and the folders that it needs.

    What is made here no other user can write to, whatever the umask: such a
    policy would be refused. Raises WrongUsage for a file that exists,
    NotPermitted and NoRoom; then there is no file.
    """
    folder = os.path.dirname(os.path.abspath(path))
    try:
        for missing in _missing_folders(folder):
            os.mkdir(missing, 0o755)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        raise WrongUsage(f"{path} exists already; it is not overwritten") from None
    except OSError as error:
        raise not_written(f"can't write {path}", error) from None
    try:
        with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(text)
    except OSError as error:
        # A part of a policy is another policy, and the next attempt would call it one that exists.
        os.unlink(path)
        raise not_written(f"can't write {path}", error) from None


def _missing_folders(folder: str) -> list[str]:
    """Return the folders that don't exist, the uppermost first."""
    missing: list[str] = []
    while not os.path.lexists(folder):
        missing.insert(0, folder)
        folder = os.path.dirname(folder)
    return missing


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
        is_size = isinstance(default, int) and get_args(Size)[1] in field.metadata
        yield f"#{indent}{key}: {exact_size(default) if is_size else _value(default)}"


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
