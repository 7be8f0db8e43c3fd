"""The id of a run sorts by when it began, within a second too."""

from __future__ import annotations

from cacheadmin.prune.quarantine import is_run_id, new_run_id

BEGUN = 1_700_000_000_000_000_000


def test_runs_sort_by_their_ids() -> None:
    moments = [BEGUN + milliseconds * 1_000_000 for milliseconds in (0, 1, 500, 999, 1000, 61_000)]
    names = [new_run_id(moment) for moment in moments]
    assert all(map(is_run_id, names))
    assert names == sorted(names)
    assert len({new_run_id(BEGUN) for _ in range(50)}) > 1
