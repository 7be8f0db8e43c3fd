"""Every look remembers the environments that it saw, where the caller may write the state.

Another release's prune may erase tonight the only record of an environment, and
what was seen once is looked at again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.errors import NotPermitted
from cacheadmin.state.store import StateUnusable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cacheadmin.evidence.facts import Environment
    from cacheadmin.state.store import State


def remember_environments(
    state: State, environments: Iterable[Environment], now_ns: int, looked_ns: Mapping[str, int]
) -> None:
    """Remember the environments that a look saw, if the caller may write the state.

    ``looked_ns``: those that are known to be as they were, by path, with when they were seen.
    """
    try:
        state.remember(environments, now_ns, looked_ns)
    except (StateUnusable, NotPermitted):
        # Reading commands work without; a prune says it (`remember_run`).
        pass
