"""Of the first version: what the planner and the check after the moves did not have to say."""

from __future__ import annotations

_PLANNER = "tests/unit/planner/test_planner_keeps_what_is_alive.py"
_VERIFICATION = "tests/integration/prune/test_verification_follows_every_link.py"

#: (module, what stands there, what does instead, the test that must notice).
CHANGES: tuple[tuple[str, str, str, str], ...] = (
    (
        "cacheadmin/planner/liveness.py",
        "            and revision.path not in live.occupied\n",
        "",
        _PLANNER,
    ),
    (
        "cacheadmin/planner/liveness.py",
        "archive.mtime_ns < YOUNG_NS",
        "archive.mtime_ns > YOUNG_NS",
        _PLANNER,
    ),
    (
        "cacheadmin/prune/verification.py",
        " or entry in self.with_links",
        "",
        _VERIFICATION,
    ),
)
