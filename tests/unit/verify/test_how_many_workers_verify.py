"""``verify`` takes a worker a core, and fewer where memory is short."""

from __future__ import annotations

import pytest

from cacheadmin.verify.run import workers_for

GIB = 2**30


@pytest.mark.parametrize(
    ("cores", "available", "limit", "workers"),
    [
        (8, 64 * GIB, GIB // 2, 8),
        (8, 4 * GIB, GIB // 2, 4),
        (8, GIB // 4, GIB // 2, 1),
        (0, 64 * GIB, GIB // 2, 1),
    ],
)
def test_half_the_free_memory_is_enough_for_all_workers(
    cores: int, available: int, limit: int, workers: int
) -> None:
    assert workers_for(cores, available, limit) == workers
