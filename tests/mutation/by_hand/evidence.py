"""Of clocks, counters and mounts."""

from __future__ import annotations

_IDLENESS = "tests/unit/evidence/test_idleness.py"
_ROOTS = "tests/integration/evidence/test_processes_in_other_roots.py"

#: (module, what stands there, what does instead, the test that must notice).
CHANGES: tuple[tuple[str, str, str, str], ...] = (
    (
        "cacheadmin/evidence/steady_time.py",
        "else min(wall_ns, steady_ns + ran_ns)",
        "else steady_ns + ran_ns",
        _IDLENESS,
    ),
    (
        "cacheadmin/evidence/steady_time.py",
        'return f"{os.uname().nodename} {machine_id()}".strip()',
        "return os.uname().nodename",
        _IDLENESS,
    ),
    (
        "cacheadmin/evidence/idleness.py",
        "-(-c.uptime_ns // NANOSECONDS)",
        "c.uptime_ns // NANOSECONDS",
        _IDLENESS,
    ),
    (
        "cacheadmin/evidence/idleness.py",
        "    if len(text) > _MAX_LENGTH:\n        return None\n",
        "",
        _IDLENESS,
    ),
    (
        "cacheadmin/evidence/reach.py",
        (
            "        if mount_of(cache, ours).kind not in _OF_ONE_DEVICE:\n"
            "            return False\n"
        ),
        "",
        _ROOTS,
    ),
    (
        "cacheadmin/evidence/reach.py",
        (
            "    if mount_of(layer, ours).kind not in _OF_ONE_DEVICE:\n"
            "        raise UnknownPlaceError(layer)\n"
        ),
        "",
        _ROOTS,
    ),
)
