"""How duplicate files look: what sharing their blocks frees, or freed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.report.formats import Report, Rows, View, rows_of
from cacheadmin.report.tables import table
from cacheadmin.text.numbers import format_count
from cacheadmin.text.sizes import format_size
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.dedupe.run import Shared
    from cacheadmin.text.documents import Document, Heading

_ROWS = 40


@frozen
class DuplicatesReport(Report):
    """What sharing the blocks of equal files frees, or freed."""

    heading: Heading
    """How the document begins."""
    shared: Shared
    """What was shared, or would be."""
    done: bool
    """Whether it was."""
    by: str | None = None
    """What ``usage`` was asked for; None for ``dedupe``."""

    def document(self) -> Document:
        """Return the document of ``dedupe``, or of ``usage --by duplicates``."""
        content = shared_json(self.shared, done=self.done)
        return self.heading.over(content if self.by is None else {"by": self.by, **content})

    def rows(self) -> Rows:
        """Return a package a row."""
        return rows_of(shared_json(self.shared, done=self.done)["packages"], ("package", "bytes"))

    def text(self, view: View) -> str:
        """Return the packages that matter most, and a line on the whole."""
        return shared_text(self.shared, done=self.done, every_row=view.verbose)


def shared_json(shared: Shared, *, done: bool) -> dict[str, Any]:
    """Return the document's content; ``done`` False: it is what would be shared."""
    return {
        "outcome": "shared" if done else "dry_run",
        "files": shared.files,
        "freed_bytes": shared.freed_bytes,
        "different_files": shared.different,
        "packages": [
            {"package": package, "bytes": size} for package, size in shared.packages.most_common()
        ],
        "failed": [{"path": path, "reason": why} for path, why in shared.failed],
    }


def shared_text(shared: Shared, *, done: bool, every_row: bool = False) -> str:
    """Return it for people: one line, and the packages that matter most."""
    if not shared.files:
        return "no two archives hold equal files in blocks of their own"
    files = format_count(shared.files, "file")
    freed = format_size(shared.freed_bytes)
    words = f"{files} share the blocks of an equal one now, {freed} freed"
    if not done:
        words = f"{files} could share the blocks of an equal one: {freed} would be freed"
    packages = shared.packages.most_common(None if every_row else _ROWS)
    rows = [(package, format_size(size)) for package, size in packages]
    return f"{table(('package', 'bytes'), rows, right=('bytes',))}\n\n{words}"
