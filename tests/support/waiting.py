"""Waiting for what another process does: until it is so, never for a while.

Where nothing tells that it is so, because time itself has to pass, there is a
name for the wait here, or its reason stands beside it. ``tests/unit/house`` looks.
"""

from __future__ import annotations

import time
from collections.abc import Callable

# Longer than a tick of a filesystem's clock, and what our memory adds to be sure.
_TICKS_SECONDS = 0.05


def until(condition: Callable[[], object], seconds: float = 90, pause: float = 0.005) -> None:
    """Wait until something is so; fail when it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        # The interval between two looks.
        time.sleep(pause)


def let_clocks_tick() -> None:
    """Wait until what is changed next gets a later time on every filesystem than what was."""
    # Some have a clock of their own, which only a write would tell.
    time.sleep(_TICKS_SECONDS)
