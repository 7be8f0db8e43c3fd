"""How usage looks as JSON and as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.report.formats import Report, Rows, View, rows_of
from cacheadmin.report.tables import table
from cacheadmin.text.escapes import printable
from cacheadmin.text.numbers import format_count
from cacheadmin.text.sizes import format_size
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.accounting import Size
    from cacheadmin.text.documents import Document, Heading
    from cacheadmin.usage.groups import Group
    from cacheadmin.usage.measurement import Usage

# A person reads so many rows; the rest is summed up, and whole in JSON.
_ROWS = 40
_UNREAD_SHOWN = 5
# A user may close a million folders; their number says enough.
_UNREAD_LISTED = 1000

_WITHOUT_NAME = {
    "package": "(no package)",
    "team": "(no team)",
    "environment": "(cached environments)",
    "build": "(builds)",
    "content": "(files stored by their content)",
    "metadata": "(metadata)",
    "protection": "(protection roots)",
    "trial": "(on trial)",
    "other": "(other)",
}


_COLUMNS = (
    *("kind", "name", "version", "archives"),
    *("logical_bytes", "bytes", "reclaimable_bytes", "files"),
)


@frozen
class UsageReport(Report):
    """How much room a cache takes, and for what or whom."""

    heading: Heading
    """How the document begins."""
    usage: Usage
    """What was measured."""

    def document(self) -> Document:
        """Return the document of ``usage``."""
        return self.heading.over(usage_json(self.usage))

    def rows(self) -> Rows:
        """Return a group a row, the largest first."""
        return rows_of(usage_json(self.usage)["groups"], _COLUMNS)

    def text(self, view: View) -> str:
        """Return the largest groups, and the total."""
        return usage_text(self.usage, every_row=view.verbose)


def usage_json(usage: Usage) -> dict[str, Any]:
    """Return the document's content; groups are the largest first."""
    return {
        "by": usage.by.value,
        "groups": (
            {
                "kind": group.sort.value,
                "name": group.name,
                "version": group.version,
                "archives": usage.archives.get(group, 0),
                **size_json(usage.groups[group]),
            }
            for group in _ordered(usage)
        ),
        "total": {"archives": sum(usage.archives.values()), **size_json(usage.total)},
        "unread": [
            {"path": problem.path, "reason": problem.reason}
            for problem in usage.unread[:_UNREAD_LISTED]
        ],
        "unread_count": len(usage.unread),
        "archives_from_state": usage.from_state,
    }


def size_json(size: Size) -> dict[str, int]:
    """Return a size as every document has it."""
    return {
        "logical_bytes": size.logical_bytes,
        "bytes": size.allocated_bytes,
        "reclaimable_bytes": size.reclaimable_bytes,
        "files": size.files,
    }


def usage_text(usage: Usage, *, every_row: bool = False) -> str:
    """Return one table: the largest groups first, and the total."""
    groups = _ordered(usage)
    shown = groups if every_row or len(groups) <= _ROWS + 1 else groups[:_ROWS]
    rows = [
        _row(group_name(group), usage.archives.get(group, 0), usage.groups[group])
        for group in shown
    ]
    rest = groups[len(shown) :]
    if rest:
        archives = sum(usage.archives.get(group, 0) for group in rest)
        name = f"... and {len(rest)} more (--verbose shows all)"
        rows.append(_row(name, archives, usage.groups.together(rest)))
    rows.append(_row("total", sum(usage.archives.values()), usage.total))
    columns = (usage.by.value, "archives", "files", "logical", "allocated", "exclusive")
    return table(columns, rows, right=columns[1:], spare=("logical", "archives", "files"))


def unread_words(usage: Usage) -> str:
    """Return what is in no number because it could not be read; empty when all could."""
    if not usage.unread:
        return ""
    some = [f"{printable(p.path)}: {p.reason}" for p in usage.unread[:_UNREAD_SHOWN]]
    more = len(usage.unread) - len(some)
    words = "; ".join(some) + (f"; and {more} more" if more else "")
    return f"{format_count(len(usage.unread), 'path')} could not be read in full: {words}"


def _ordered(usage: Usage) -> list[Group]:
    def key(group: Group) -> tuple[int, str, str, str]:
        size = usage.groups[group]
        return -size.allocated_bytes, group.sort.value, group.name or "", group.version or ""

    return sorted(usage.groups, key=key)


def _row(name: str, archives: int, size: Size) -> tuple[str, int, int, str, str, str]:
    return (
        name,
        archives,
        size.files,
        format_size(size.logical_bytes),
        format_size(size.allocated_bytes),
        format_size(size.reclaimable_bytes),
    )


def group_name(group: Group) -> str:
    """Return how a group is called; not escaped."""
    if group.name is None:
        return _WITHOUT_NAME.get(group.sort.value, "-")
    name = group.name if group.version is None else f"{group.name} {group.version}"
    return f"{name} (cached environment)" if group.sort.value == "environment" else name
