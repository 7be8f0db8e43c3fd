"""What time it is, by a clock that can't be set forward."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.evidence.steady_time import steady_moment

if TYPE_CHECKING:
    from cacheadmin.evidence.idleness import HostTime
    from cacheadmin.state.store import State


def steady_now(state: State, here: HostTime, wall_ns: int) -> int:
    """Return the time (ns) by which ages are judged, where the wall clock says ``wall_ns``.

    Raises StateUnusable and NotPermitted where what earlier runs noted can't be read.
    """
    return steady_moment(wall_ns, state.clock(here.host), here)
