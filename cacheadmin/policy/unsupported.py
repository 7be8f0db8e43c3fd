"""Keys that are known and checked, but whose feature this release does not have.

Using one is an error: ignoring it would promise what is not done. A feature
that arrives deletes its line here.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cacheadmin.policy.model import Policy

_Used = Callable[["Policy"], bool]

_UNSUPPORTED: tuple[tuple[str, _Used], ...] = (
    ("run_as", lambda policy: policy.run_as not in (None, _caller())),
    ("hosts.expect", lambda policy: bool(policy.hosts.expect)),
    ("scan.executor", lambda policy: policy.scan.executor != "threads"),
    ("scan.workers", lambda policy: policy.scan.workers is not None),
    ("scan.address", lambda policy: policy.scan.address is not None),
)


def unsupported_keys(policy: Policy) -> Iterator[str]:
    """Yield the keys in use whose feature is not there yet."""
    for key, used in _UNSUPPORTED:
        if used(policy):
            yield key


def _caller() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
