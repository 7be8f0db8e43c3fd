"""Keys that are known and checked, but whose feature this release does not have.

Using one is an error: ignoring it would promise what is not done. A feature
that arrives deletes its line here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cacheadmin.policy.model import Policy

_Used = Callable[["Policy"], bool]

# The key, whether it is in use, and what its JSON Schema still allows.
_UNSUPPORTED: tuple[tuple[str, _Used, dict[str, object]], ...] = ()


def unsupported_keys(policy: Policy) -> Iterator[str]:
    """Yield the keys in use whose feature is not there yet."""
    for key, used, _ in _UNSUPPORTED:
        if used(policy):
            yield key


def unsupported_schemas() -> Iterator[tuple[str, dict[str, object]]]:
    """Yield what the JSON Schema of each such key still allows; nothing where that depends."""
    for key, _, schema in _UNSUPPORTED:
        if schema:
            yield key, schema
