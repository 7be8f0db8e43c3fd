"""What one account has on a host, told together: what is used, and not by which environment. Pure.

Any account can have twenty thousand environments that all link to thousands of archives,
in folders whose names have four thousand bytes. Each told by itself, a host's observation
becomes larger than any other host believes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.evidence.observations import Observation, ObservedGap, ObservedUse
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.evidence.release_trace import ReleaseTrace

# Of a path that people may look at, when there are thousands.
_LONGEST_PATH = 200


def accounts_by_size(observation: Observation) -> list[int | None]:
    """Return the accounts that an observation tells of, the one with most text first."""
    sizes: Counter[int | None] = Counter()
    for use in observation.uses:
        sizes[use.uid] += len(use.who) + sum(map(len, use.entries)) + 4 * len(use.entries)
    for gap in observation.gaps:
        sizes[gap.uid] += len(gap.subject) + len(gap.detail)
    for trace in observation.releases:
        sizes[trace.uid] += len(trace.path) + len(trace.evidence)
    return [uid for uid, _ in sizes.most_common()]


def told_together(observation: Observation, uid: int | None) -> Observation:
    """Return an observation that tells one account's uses, gaps and releases together.

    Nothing of what keeps an entry, or a bucket, is left out.
    """
    return replace(
        observation,
        uses=(
            *(one for one in observation.uses if one.uid != uid),
            *_uses([one for one in observation.uses if one.uid == uid], uid),
        ),
        gaps=(
            *(one for one in observation.gaps if one.uid != uid),
            *_gaps([one for one in observation.gaps if one.uid == uid]),
        ),
        releases=(
            *(one for one in observation.releases if one.uid != uid),
            *_releases([one for one in observation.releases if one.uid == uid]),
        ),
    )


def _uses(uses: Sequence[ObservedUse], uid: int | None) -> Iterator[ObservedUse]:
    entries = tuple(sorted({entry for use in uses for entry in use.entries}))
    if entries:
        who = format_count(len(uses), "environment or program", "environments and programs")
        yield ObservedUse(who, uid, entries)


def _gaps(gaps: Sequence[ObservedGap]) -> Iterator[ObservedGap]:
    counts = Counter(one.id for one in gaps)
    firsts = {one.id: one for one in reversed(gaps)}
    for name, first in firsts.items():
        more = counts[name] - 1
        yield replace(first, detail=f"{first.detail}; and {more} more") if more else first


def _releases(traces: Sequence[ReleaseTrace]) -> Iterator[ReleaseTrace]:
    newest: dict[object, ReleaseTrace] = {}
    for one in traces:
        told = (one.version, one.bucket, one.at_least, one.is_program)
        if told not in newest or newest[told].seen_ns < one.seen_ns:
            newest[told] = one
    for one in newest.values():
        yield replace(one, path=one.path[:_LONGEST_PATH])
