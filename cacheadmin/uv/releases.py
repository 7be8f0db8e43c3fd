"""Which uv release uses which buckets: a table, ``releases.json``.

A row says what changed with a release: ``since``, ``released`` (a date),
``buckets`` (kind to version, all of them), ``cache_lock``. A release uses the
row with the greatest ``since`` not above it. ``checked_up_to`` is the newest
release whose buckets were looked at: nothing is claimed about later ones.

To add a release: read its bucket names (``cacheadmin uv learn PATH``). If
they equal the last row's, raise ``checked_up_to``; else append a row. The test
``test_table_agrees_with_real_binaries`` compares the table with real
binaries.

Source: crates/uv-cache/src/lib.rs at every tag up to 0.12.5, binaries after.
"""

from __future__ import annotations

import json
import os
import re
from functools import cache
from typing import Any

from cacheadmin.values import frozen

Release = tuple[int, ...]

_RELEASE = re.compile(r"\d{1,4}\.\d{1,4}\.\d{1,4}", re.ASCII)


@frozen
class ReleaseRange:
    """The releases that use a bucket."""

    first: str
    """The first of them: ``0.5.0``."""
    last: str | None
    """Where they end, in words: ``before 0.8.0``; None: the newest known still uses it."""


@frozen
class _Change:
    since: Release
    buckets: frozenset[str]


@cache
def _table() -> dict[str, Any]:
    # importlib.resources takes longer to import than the whole table to read.
    with open(os.path.join(os.path.dirname(__file__), "releases.json"), encoding="ascii") as file:
        table: dict[str, Any] = json.load(file)
    return table


@cache
def _changes() -> tuple[_Change, ...]:
    return tuple(
        _Change(
            tuple(int(part) for part in row["since"].split(".")),
            frozenset(f"{kind}-v{version}" for kind, version in row["buckets"].items()),
        )
        for row in _table()["changes"]
    )


def newest_known() -> str:
    """Return the newest release that the table speaks of."""
    return str(_table()["checked_up_to"])


def parse_release(version: str) -> Release | None:
    """Return ``0.8.5`` as ``(0, 8, 5)``; None for what is no plain uv release."""
    if not _RELEASE.fullmatch(version):
        return None
    return tuple(int(part) for part in version.split("."))


def buckets_of(version: str) -> frozenset[str] | None:
    """Return the bucket names that a release uses.

    None for a release newer than the table, older than its first row, or
    with a name that is no release: the caller must then keep what it may need.
    """
    release = parse_release(version)
    newest = parse_release(newest_known())
    if release is None or newest is None or release > newest:
        return None
    fitting = [change for change in _changes() if change.since <= release]
    return fitting[-1].buckets if fitting else None


def takes_cache_lock(version: str) -> bool | None:
    """Whether a release locks ``.lock`` in the cache root (0.8.19 and later).

    None for what is no release. Source: uv #15888; run 0.8.5 and 0.9.0.
    """
    release = parse_release(version)
    first = parse_release(_table()["first_with_cache_lock"])
    return None if release is None or first is None else release >= first


@cache
def _ranges() -> dict[str, ReleaseRange]:
    ranges: dict[str, ReleaseRange] = {}
    changes = _changes()
    for position, change in enumerate(changes):
        following = changes[position + 1] if position + 1 < len(changes) else None
        for bucket in change.buckets:
            first = ranges[bucket].first if bucket in ranges else _text(change.since)
            stays = following is None or bucket in following.buckets
            last = None if stays or following is None else f"before {_text(following.since)}"
            ranges[bucket] = ReleaseRange(first, last)
    return ranges


def release_range(bucket: str) -> ReleaseRange | None:
    """Return which releases use a bucket; None for a bucket the table lacks."""
    return _ranges().get(bucket)


@cache
def used_together_with(bucket: str) -> frozenset[str]:
    """Return the buckets that each release has which has this one; none for one the table lacks.

    Who wrote to it uses a release that has these, whichever it is.
    """
    having = [change.buckets for change in _changes() if bucket in change.buckets]
    return frozenset.intersection(*having) if having else frozenset()


def writers_take_lock(bucket: str) -> bool | None:
    """Return whether all releases that use a bucket take the cache's lock, or none; None: some."""
    releases = release_range(bucket)
    if releases is None:
        return None
    if takes_cache_lock(releases.first):
        return True
    until = None if releases.last is None else releases.last.removeprefix("before ")
    return None if until is None or takes_cache_lock(until) else False


def is_known_bucket(name: str) -> bool:
    """Whether any release of the table uses a bucket of exactly this name."""
    return name in _ranges()


@cache
def known_buckets() -> frozenset[str]:
    """Return the name of every bucket that any release of the table uses."""
    return frozenset(_ranges())


@cache
def known_kinds() -> frozenset[str]:
    """Return the kinds of bucket that ever existed, such as ``wheels``."""
    return frozenset(kind for row in _table()["changes"] for kind in row["buckets"])


def _text(release: Release) -> str:
    return ".".join(str(part) for part in release)
