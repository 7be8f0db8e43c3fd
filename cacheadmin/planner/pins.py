"""What pins keep. Pure.

A pin of a path keeps the entries there, and the bucket they lie in. A pin of a
package keeps its archives, present and to come, and in buckets that stay its
pointers and source revisions; it does not hold a bucket that no user needs, with
everything else in it.

A pin ends when the calendar says so *and* it is surely as old as it was meant
to become (``Pin.known_age_ns``): a clock that is set forward ends none, and one
that was created "in the future" counts.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import EntryKind, bucket_of, with_folders_above
from cacheadmin.packages.names import normalized
from cacheadmin.planner.targets import CacheEntry, all_entries
from cacheadmin.text.timestamps import rfc3339
from cacheadmin.uv.layout import WHEEL_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cacheadmin.evidence.facts import Pin
    from cacheadmin.planner.plan_input import PlanInput

# One pin is enough to keep something; some are named in reports. Thousands of
# one target, which a hostile user could make, must not cost time.
_ENOUGH = 20


def is_expired(pin: Pin, now_ns: int) -> bool:
    """Whether a pin keeps nothing any more."""
    if pin.expires_ns is None or now_ns < pin.expires_ns:
        return False
    return pin.known_age_ns >= pin.expires_ns - pin.created_ns


def pin_words(case: PlanInput, pin: Pin) -> str:
    """Return who pinned it, why and until when, as a clause."""
    parts = [f"pinned by {case.user(pin.uid)}"]
    if pin.expires_ns is not None:
        past = case.now_ns >= pin.expires_ns
        parts.append(
            f" until {rfc3339(pin.expires_ns)}" + (" by the calendar, not yet that old" * past)
        )
    if pin.reason:
        parts.append(f": {pin.reason}")
    return "".join(parts)


def pinned_paths(case: PlanInput) -> Iterator[tuple[CacheEntry, Pin]]:
    """Yield each entry that a pin of its path keeps, with its bucket."""
    by_path: dict[str, list[Pin]] = defaultdict(list)
    for pin in _active(case):
        if pin.path is not None and len(by_path[pin.path]) < _ENOUGH:
            by_path[pin.path].append(pin)
    if not by_path:
        return
    entries = tuple(all_entries(case.inventory))
    above = _above(by_path, entries)
    buckets = {b.name: CacheEntry(EntryKind.BUCKET, b.name) for b in case.inventory.buckets}
    for entry in entries:
        found = list(above.get(entry.path, ()))
        for prefix in islice(with_folders_above(entry.path), 1, None):
            found.extend(by_path.get(prefix, ()))
        bucket = buckets.get(bucket_of(entry.path), entry)
        for pin in dict.fromkeys(found):
            yield entry, pin
            if bucket.path != entry.path:
                yield bucket, pin


def _above(
    by_path: Mapping[str, list[Pin]], entries: Iterable[CacheEntry]
) -> Mapping[str, list[Pin]]:
    """Return the pins of each entry, and of everything in it: who pins a file keeps its entry."""
    above: dict[str, list[Pin]] = defaultdict(list)
    paths = {entry.path for entry in entries}
    # No entry lies deeper: of a path with two thousand folders, all of them would be
    # gigabytes for the pins of one account.
    deepest = max((path.count("/") for path in paths), default=0) + 1
    for path, pins in by_path.items():
        for prefix in with_folders_above("/".join(path.split("/")[:deepest])):
            if prefix in paths and len(above[prefix]) < _ENOUGH:
                above[prefix].extend(pins)
        # uv keeps a wheel pointer in several files; the entry is all of them.
        for suffix in WHEEL_SUFFIXES:
            if path.endswith(suffix):
                above[path.removesuffix(suffix)].extend(pins)
    return above


def pinned_packages(case: PlanInput) -> Iterator[tuple[CacheEntry, Pin]]:
    """Yield each archive, pointer and revision that a pin of its package names."""
    named: dict[tuple[str, str | None], list[Pin]] = defaultdict(list)
    for pin in _active(case):
        if pin.package is not None:
            same = named[normalized(pin.package), pin.version]
            if len(same) < _ENOUGH:
                same.append(pin)
    if not named:
        return
    for entry in all_entries(case.inventory):
        if entry.package is not None:
            package = normalized(entry.package)
            versions = {None, entry.version}
            for pin in (one for version in versions for one in named.get((package, version), ())):
                yield entry, pin


def _active(case: PlanInput) -> Iterator[Pin]:
    return (pin for pin in case.evidence.pins if not is_expired(pin, case.now_ns))
