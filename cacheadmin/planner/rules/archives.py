"""Archives: gone when nothing alive leads to them.

*Unreferenced* (no pointer inside the cache leads there) is not enough: an
environment may link to it, or a process run from it. Only what is neither
referenced nor seen to be used goes, and only while nothing hides a use.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import EntryKind
from cacheadmin.planner.cached_environments import cached_names
from cacheadmin.planner.marks import Use
from cacheadmin.planner.rules.ruling import Ruling, keep, remove
from cacheadmin.uv.layout import is_content_made_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cacheadmin.inventory.entries import Archive, ArchiveId
    from cacheadmin.planner.case import Case
    from cacheadmin.planner.marks import Liveness


_CONTENT_MADE = Use(
    "archive.content_made",
    "any uv with the same wheel",
    "its id is made from its content, so a uv can find it without a pointer, and it can't be "
    "tried: it is removed where nobody can be overlooked (venvs.complete, and no gap)",
)


def archives(case: Case, live: Liveness) -> Iterator[Ruling]:
    """Rule on every archive."""
    led_there = _dead_pointers(case)
    names = cached_names(case)
    for archive in case.inventory.archives.values():
        uses = [*live.archives.get(archive.id, ()), *live.hidden_uses]
        if not uses and is_content_made_id(archive.id) and not case.everybody_is_known:
            uses = [_CONTENT_MADE]
        if not uses and not case.policy.prune.archives:
            uses = [Use("archive.policy", "policy", "prune.archives is false")]
        name, version = names.get(archive.path, (archive.package, archive.version))
        if uses:
            yield keep(EntryKind.ARCHIVE, archive.path, uses, package=name, version=version)
        else:
            ruling = _remove(archive, led_there, live.retired.get(archive.id))
            decision = replace(ruling.decision, package=name, version=version)
            yield replace(ruling, decision=decision)


def _remove(
    archive: Archive,
    led_there: Mapping[ArchiveId, set[str]],
    retired: tuple[str, str] | None,
) -> Ruling:
    sources = led_there.get(archive.id)
    if retired is not None:
        rule, reason = retired[0].replace("wheel.", "archive."), retired[1]
    elif sources:
        rule = "archive.pointers_gone"
        reason = f"only {', '.join(sorted(sources))}, removed as well, led to it; nothing uses it"
    else:
        rule = "archive.unreferenced"
        reason = "nothing in the cache leads to it, and no environment or process uses it"
    return remove(
        EntryKind.ARCHIVE,
        archive.path,
        rule,
        reason,
        package=archive.package,
        version=archive.version,
    )


def _dead_pointers(case: Case) -> Mapping[ArchiveId, set[str]]:
    """Return which buckets hold (soon removed) pointers to an archive."""
    led: dict[ArchiveId, set[str]] = defaultdict(set)
    for pointer in case.inventory.wheel_pointers:
        for archive in pointer.archives:
            led[archive].add(pointer.bucket)
    for revision in case.inventory.revisions:
        for archive in revision.archives:
            led[archive].add(revision.bucket)
    for environment in case.inventory.environments:
        if environment.archive is not None:
            led[environment.archive].add(environment.bucket)
    return led
