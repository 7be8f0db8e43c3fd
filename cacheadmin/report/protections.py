"""How the protection of a cache looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.protect.roots import ARCHIVES, releases_of
from cacheadmin.report.formats import Report, Rows, View, rows_of
from cacheadmin.report.tables import table
from cacheadmin.text.escapes import printable
from cacheadmin.text.numbers import format_count
from cacheadmin.text.timestamps import rfc3339
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.protect.planted_roots import PlantedBucket
    from cacheadmin.protect.protection import Protection
    from cacheadmin.text.documents import Document, Heading


_COLUMNS = (
    "name",
    "releases",
    "since",
    "planted",
    "removed",
    "missing",
    "stale",
    "foreign",
    "problem",
)


@frozen
class ProtectionReport(Report):
    """Whether the archives in use are out of reach of every ``uv cache prune``."""

    heading: Heading
    """How the document begins."""
    protection: Protection
    """What is planted, and what is missing."""
    ended: bool = False
    """Whether everything was taken away."""

    def document(self) -> Document:
        """Return the document of ``protect``."""
        return self.heading.over(protection_json(self.protection))

    def rows(self) -> Rows:
        """Return a bucket a row."""
        content = protection_json(self.protection)
        return rows_of(content["buckets"], _COLUMNS)

    def text(self, view: View) -> str:
        """Return what is protected, from whom; buckets where something is amiss, or all."""
        if self.ended:
            return removed_words(self.protection)
        return protection_text(self.protection, every_row=view.verbose)


def protection_json(protection: Protection) -> dict[str, Any]:
    """Return the document's content; also a part of that of ``prune``."""
    since_ns = protection.since_ns
    return {
        "archives": protection.archives,
        "complete": not protection.missing and not protection.problems,
        "since": None if since_ns is None else rfc3339(since_ns),
        "planted": protection.planted,
        "removed": protection.removed,
        "missing": protection.missing,
        "note": protection.note or None,
        "unclaimed": list(protection.unclaimed),
        "buckets": [
            {
                "name": bucket.name,
                "releases": releases_of(bucket.name),
                "since": None if bucket.since_ns is None else rfc3339(bucket.since_ns),
                "planted": bucket.planted,
                "removed": bucket.removed,
                "missing": bucket.missing,
                "stale": len(bucket.stale),
                "foreign": bucket.foreign,
                "problem": bucket.problem or None,
            }
            for bucket in protection.buckets
        ],
    }


def protection_text(protection: Protection, *, every_row: bool = False) -> str:
    """Return what is protected, from whom; buckets where something is amiss, or all."""
    lines = [protection_words(protection)]
    if protection.note:
        lines.append(printable(protection.note))
    lines += [
        printable(f"nothing is claimed of the prune of {one}") for one in protection.unclaimed
    ]
    shown = [
        bucket
        for bucket in protection.buckets
        if every_row or bucket.problem or bucket.missing or bucket.foreign
    ]
    if shown:
        rows = [(b.name, releases_of(b.name), b.missing, _state(b)) for b in shown]
        columns = ("bucket", "read by", "missing", "state")
        lines += ["", table(columns, rows, right=("missing",), spare=("read by",))]
    return "\n".join(lines)


def protection_words(protection: Protection) -> str:
    """Return one line on the whole."""
    done = []
    if protection.planted:
        done.append(f"{format_count(protection.planted, 'root')} planted")
    if protection.removed:
        done.append(f"{protection.removed} removed")
    change = f" ({', '.join(done)})" if done else ""
    number = format_count(protection.archives, "archive")
    obstacle = next((one.problem for one in protection.buckets if one.name == ARCHIVES), "")
    if obstacle:
        return f"no archive can be protected: {ARCHIVES}: {obstacle}{change}"
    if not protection.archives:
        return f"no archive is in use, so none needs protection{change}"
    if protection.missing:
        short = sum(1 for bucket in protection.buckets if bucket.missing)
        return (
            f"NOT all of {number} in use are protected: {format_count(protection.missing, 'root')} "
            f"{_are(protection.missing)} missing "
            f"in {format_count(short, 'bucket')}{change}"
        )
    whom = "every known release" if protection.unclaimed else "every release"
    return f"{number} in use {_are(protection.archives)} protected from {whom}{change}"


def removed_words(protection: Protection) -> str:
    """Return one line on the end of a protection."""
    return f"{format_count(protection.removed, 'root')} removed: nothing is protected any more"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _state(bucket: PlantedBucket) -> str:
    if bucket.problem:
        return bucket.problem
    words = "not planted" if bucket.since_ns is None else f"since {rfc3339(bucket.since_ns)}"
    return (
        f"{words}, {format_count(bucket.foreign, 'entry', 'entries')} in it "
        f"{_are(bucket.foreign)} not ours"
        if bucket.foreign
        else words
    )
