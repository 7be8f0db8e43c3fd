"""Of removing beside a uv at work: who may know an entry, and until when."""

from __future__ import annotations

_PERIODS = "tests/unit/planner/test_grace_periods.py"
_SOURCES = "tests/unit/planner/test_sources_are_given_up.py"
_AT_WORK = "tests/unit/prune/test_who_may_be_at_work.py"

#: (module, what stands there, what does instead, the test that must notice).
CHANGES: tuple[tuple[str, str, str, str], ...] = (
    (
        "cacheadmin/planner/grace.py",
        ("        if self.begun.boot != now.boot:\n            return True\n"),
        "",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        "self.begun.namespace == now.namespace and not",
        "not",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        ("return self.begun.namespace == now.namespace and not self.begun.working & now.working"),
        "return self.begun.namespace == now.namespace",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        "= _ripe(periods, now, dead) if reclaim else frozenset()",
        "= _ripe(periods, now, dead)",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        "            and decision.path not in published\n",
        "",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        (
            "            and decision.path not in published\n"
            "            and decision.path not in by_name\n"
        ),
        "            and decision.path not in published\n",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        ("            decision.path in ripe\n            and decision"),
        "            decision",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        "decision.path in by_name and reclaim and not now.working",
        "decision.path in by_name and not now.working",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        "decision.path in by_name and reclaim and not now.working",
        "decision.path in by_name and reclaim",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        (
            "        if period.begun.boot == now.boot and period.begun.namespace != "
            "now.namespace:\n"
            "            continue\n"
        ),
        "",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        "            if path not in known and mark.state != UNSURE and",
        "            if mark.state != UNSURE and",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        "            if path not in known and mark.state != UNSURE and",
        "            if path not in known and",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        "path not in known and mark.state != UNSURE and dead.get(path) == mark",
        "path not in known and mark.state != UNSURE",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        "        if period.is_over(now)\n",
        "",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        ("        if mark.state != UNSURE and dead.get(path) == mark\n    )\n"),
        ("        if mark.state != UNSURE\n    )\n"),
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        'f"{a.inode}:{a.mtime_ns}"',
        'f"{a.mtime_ns}"',
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        'f"{a.inode}:{a.mtime_ns}"',
        'f"{a.inode}"',
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        "    found.update((r.path, str(r.mtime_ns)) for r in inventory.revisions)\n",
        "",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        "    found.update((b.path, str(b.changed_ns)) for b in inventory.builds)\n",
        "",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        'return "packages", normalized(decision.package) if decision.package else ""',
        ('return "packages", normalized(decision.package) if decision.package else "unknown"'),
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        "    if decision.kind in (EntryKind.ARCHIVE, EntryKind.REVISION):",
        "    if decision.kind in (EntryKind.ARCHIVE,):",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        "            counts = kind in _ENVIRONMENTS\n",
        "            counts = False\n",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        "            counts = _could_name(folder, kind, package)\n",
        "            counts = False\n",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        "watched[folder] > now_ns - grain_ns",
        "watched[folder] > now_ns",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        "return not package or normalized(parts[-1]) == package",
        "return normalized(parts[-1]) == package",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        ("        return not (package and named) or package in map(normalized, parts[2:4])"),
        "        return package in map(normalized, parts[2:4])",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        ("        return not (package and named) or package in map(normalized, parts[2:4])"),
        "        return not (package and named)",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        (
            "    if decision.kind is EntryKind.ARCHIVE and decision.path in environments:\n"
            '        return "environments", ""\n'
        ),
        "",
        _PERIODS,
    ),
    (
        "cacheadmin/prune/grace_file.py",
        "if p.uv is not None and not p.uv.parked}",
        "if False}",
        _AT_WORK,
    ),
    (
        "cacheadmin/prune/grace_file.py",
        "        if holder.is_uv is False and not",
        "        if False and not",
        _AT_WORK,
    ),
    (
        "cacheadmin/prune/grace_file.py",
        "holder.is_uv is False and not holder.waiting and not holder.is_guard",
        "holder.is_uv is False and not holder.is_guard",
        _AT_WORK,
    ),
    (
        "cacheadmin/prune/grace_file.py",
        "(p.pid, p.start_ticks) for p",
        "(p.pid, 0) for p",
        _AT_WORK,
    ),
    (
        "cacheadmin/prune/grace_file.py",
        "(holder.pid, holder.start_ticks)",
        "(holder.pid, 0)",
        _AT_WORK,
    ),
    (
        "cacheadmin/prune/concurrent.py",
        "if case.evidence.filesystem.network or _is_exported(case):",
        "if _is_exported(case):",
        _AT_WORK,
    ),
    (
        "cacheadmin/prune/concurrent.py",
        "    if case.policy.hosts.expect:\n",
        "    if False:\n",
        _AT_WORK,
    ),
    (
        "cacheadmin/prune/concurrent.py",
        '    return any(gap.id == "hosts.exported" for gap in case.gaps)',
        "    return False",
        _AT_WORK,
    ),
    (
        "cacheadmin/prune/concurrent.py",
        "        if holder.is_uv is None and not holder.waiting:",
        "        if False:",
        _AT_WORK,
    ),
    (
        "cacheadmin/planner/grace.py",
        "    chosen = without_dangling(candidates, inventory, evidence)\n",
        "    chosen = candidates\n",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        (
            "return decision.kind is EntryKind.ENVIRONMENT and decision.path not in "
            "environment_folders"
        ),
        "return decision.kind is EntryKind.ENVIRONMENT",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        "if d.kind in (EntryKind.REVISION, EntryKind.ARCHIVE)}",
        "if True}",
        _PERIODS,
    ),
    (
        "cacheadmin/planner/grace.py",
        (
            "    found |= {revision.path for revision in inventory.revisions if "
            "revision.found_by_name}\n"
        ),
        "",
        _SOURCES,
    ),
)
