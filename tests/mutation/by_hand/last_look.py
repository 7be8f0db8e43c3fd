"""Of the look before the moves: what came alive since the plan, and by which source."""

from __future__ import annotations

_KEEPS = "tests/integration/prune/test_what_the_last_look_keeps.py"
_SEEN_BEFORE = (
    "tests/integration/prune/test_last_look_under_the_lock.py"
    "::test_what_one_look_saw_is_known_to_the_next"
)
_GAP = (
    "tests/integration/evidence/test_sources_know_their_gaps.py"
    "::test_a_gap_that_opens_after_the_plan_keeps_what_rests_on_absence"
)
_CROWDED = (
    "tests/integration/evidence/test_what_one_account_multiplies_is_looked_at_once.py"
    "::test_environments_of_one_account_hold_up_neither_the_lock_nor_the_others"
)
_UNREADABLE = (
    "tests/integration/readers/test_what_no_reader_could_read_is_kept.py"
    "::test_environments_whose_times_no_reader_could_read_are_looked_into_again"
)
_MANY_TOOLS = (
    "tests/integration/prune/test_last_look_under_the_lock.py"
    "::test_where_many_tools_were_made_meanwhile_all_buckets_and_archives_stay"
)

#: (module, what stands there, what does instead, the test that must notice).
CHANGES: tuple[tuple[str, str, str, str], ...] = (
    (
        "cacheadmin/prune/last_look.py",
        "elif decision.kind in _LEFT_BEHIND and self._changed(path):",
        "elif False:",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "for file in self._named_by.get(path, ()):",
        "for file in ():",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "        for path in led_to(tuple(dropped), self._leads):\n",
        "        for path in ():\n",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "        for crowded in changes.crowded:\n",
        "        for crowded in ():\n",
        _CROWDED,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "            yield from self._used_together_with(entry, why)\n",
        "",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "        for named in facts.named:\n",
        "        for named in ():\n",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        ("        if not self._beside:\n            for holder"),
        ("        if False:\n            for holder"),
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "if self._snapshot.case.keeps_everything(unseen):",
        "if False:",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        'if unseen.what == "pin":',
        "if False:",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "        for gap in facts.gaps:\n",
        "        for gap in ():\n",
        _GAP,
    ),
    (
        "cacheadmin/prune/last_look.py",
        ' or "process" not in candidate.sources',
        "",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "            if not scanned.complete:\n",
        "            if False:\n",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "        if lies_in_sources(entry):\n",
        "        if False:\n",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "        for publisher in self._publishers.get(entry, ()):\n",
        "        for publisher in ():\n",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "if process.uv is not None and not process.uv.parked:",
        "if False:",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "            elif self._snapshot.case.may_work_without_lock(process):\n",
        "            elif False:\n",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        ("                yield from self._buckets_of(uv_version(process), process.uid, why)\n"),
        "                pass\n",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "(buckets is None or decision.path in buckets)",
        "(buckets is not None and decision.path in buckets)",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        (
            "        for environment in inventory.environments:\n"
            "            yield environment.path, why\n"
        ),
        "",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        ("        for revision in inventory.revisions:\n            yield revision.path, why\n"),
        "",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        ("        for bucket in inventory.buckets:\n            yield bucket.name, why\n"),
        "",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        (
            "            if decision.kind is EntryKind.SOURCE:\n"
            "                yield decision.path, why\n"
        ),
        "            pass\n",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "max(status.st_mtime_ns, status.st_ctime_ns)",
        "status.st_mtime_ns",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        ("        for path in with_folders_above(source):\n            if path in going"),
        ("        for path in (source,):\n            if path in going"),
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        ("self._by_name |= {d.path for d in self._removals if d.kind is EntryKind.SOURCE}"),
        "self._by_name |= set()",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "self._by_name |= {e.path for e in inventory.environments if e.archive is None}",
        "self._by_name |= set()",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "        yield from self._buckets_of(uv_version(process), None, why)\n",
        "",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        ("                yield from self._resting_on_absence(why)\n        for gap"),
        "        for gap",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "if self._snapshot.case.keeps_everything(unseen):",
        "if unseen.hides_archives:",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "self._alive.setdefault(entry, why)",
        "self._alive = {entry: why}",
        _SEEN_BEFORE,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "        yield from self._used_by_environments(changes.candidates, look)\n",
        "",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "            if around & pointing:\n",
        "            if False:\n",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        'for mark in "./"}',
        'for mark in "/"}',
        _KEEPS,
    ),
    (
        "cacheadmin/prune/last_look.py",
        "            for scanned in self._scanned((inner,), look):\n",
        "            for scanned in ():\n",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/changed_environments.py",
        "watched = (one.path,) if missing else tuple(one.watched)",
        "watched = tuple(one.watched)",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/changed_environments.py",
        "look.may_have_changed(now_ns, before.get(folder, 0))",
        "now_ns != before.get(folder, 0)",
        _KEEPS,
    ),
    (
        "cacheadmin/prune/changed_environments.py",
        "                crowded.append(_changed_too_many(account, len(candidates)))\n",
        "",
        _CROWDED,
    ),
    (
        "cacheadmin/prune/changed_environments.py",
        ('            crowded.append(\n                f"{_named(account)} has'),
        ('            print(\n                f"{_named(account)} has'),
        _CROWDED,
    ),
    (
        "cacheadmin/prune/changed_environments.py",
        "if times is None or _moved(",
        "if times is not None and _moved(",
        _UNREADABLE,
    ),
    (
        "cacheadmin/evidence/sources/pointers.py",
        'unseen.append(Unseen("cache", "cached environments", reason, hides_archives=True))',
        "pass",
        _MANY_TOOLS,
    ),
)
