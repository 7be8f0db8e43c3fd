"""Environments named in the cache's interpreter buckets, of every version.

uv writes such a record at the second command in an environment, not the
first; a record outlives its environment (facts sections 6 and 13). A record
that can't be understood may name an environment that nothing else names.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import IF_ALL_ARE_FOUND, EnvironmentKind, Gap, GapKind, Unseen
from cacheadmin.evidence.kinds import KIND, NamedFolder
from cacheadmin.evidence.look import Facts, Look, Moment, new_candidates
from cacheadmin.inventory.archives import stands_on_trial
from cacheadmin.inventory.entries import EntryPath, bucket_of
from cacheadmin.inventory.reader import InterpreterEntries, interpreter_prefixes

if TYPE_CHECKING:
    from cacheadmin.readers import Unreadable


class InterpreterRecords:
    """``venvs.from_cache`` of the policy."""

    id = "cache"

    def collect(self, look: Look) -> Facts:
        """Return what the records name; one that is gone is scanned too, to say so."""
        entries = interpreter_prefixes(look.cache, look.readers)
        if not look.policy.venvs.from_cache:
            return Facts()
        recorded: dict[str, set[str]] = defaultdict(set)
        for record in entries.records:
            recorded[record.prefix].add(bucket_of(record.path))
        written = [
            (NamedFolder(path), written_ns)
            for path, _, written_ns in entries.prefixes
            if not stands_on_trial(look.cache, path)
        ]
        kinds = look.readers.ask_all(
            KIND,
            [named for named, _ in written],
            deadline_seconds=look.deadline_seconds,
        )
        return Facts(
            candidates=tuple(
                Candidate(named.path, _or_venv(kind), (self.id,), seen_ns=written_ns)
                for (named, written_ns), kind in zip(written, kinds, strict=True)
            ),
            unseen=tuple(
                Unseen(
                    "interpreter-entry",
                    one.path,
                    f"{one.reason}; it may name environments that nothing else names",
                    hides_archives=True,
                    uid=one.uid,
                )
                for one in entries.unseen
            ),
            gaps=_damaged(entries),
            recorded={path: frozenset(buckets) for path, buckets in recorded.items()},
        )

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return what was recorded since, where an interpreter bucket has changed."""
        if look.moment is Moment.UNDER_LOCK and not look.changed_folders(_has_records):
            return Facts()
        return new_candidates(self.collect(look), before)


def _has_records(folder: str) -> bool:
    return EntryPath.of(folder).kind == "interpreter"


def _or_venv(kind: EnvironmentKind | Unreadable | None) -> EnvironmentKind:
    return kind if isinstance(kind, EnvironmentKind) else EnvironmentKind.VENV


def _damaged(entries: InterpreterEntries) -> tuple[Gap, ...]:
    if not entries.damaged:
        return ()
    first = entries.damaged[0]
    return (
        Gap(
            "records.damaged",
            GapKind.SEARCH,
            first.path,
            f"{len(entries.damaged)} interpreter records could not be understood "
            f"({first.path}: {first.reason}): they may name environments that nothing else names",
            f"name the trees where environments lie in venvs.discover; {IF_ALL_ARE_FOUND}",
        ),
    )
