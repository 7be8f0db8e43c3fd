"""What a report is, and what a format makes of it.

A command that reports something makes one :class:`Report` of what it found.
``--format NAME`` then chooses a :class:`Format`, which turns any report that
it can print into text. So a command knows no format, and a format knows no
command: a new format is a module beside this one and a line in ``FORMATS``.

Every report has a document, rows and a text. Three sorts have more, and the
formats that need it print those alone: :class:`FindingsReport` (sarif),
:class:`PageReport` (html), :class:`MarkdownReport` (its own Markdown, where
other reports have a table of their rows).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from cacheadmin.report.terminal import Paint, unpainted
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.report.tables import Cell


@frozen
class View:
    """How much people want to read, and what their terminal can show."""

    verbose: bool = False
    """Whether nothing is left out (``--verbose``)."""
    quiet: bool = False
    """Whether only what is wrong is shown (``--quiet``)."""
    paint: Paint = unpainted
    """Returns a text in a style's colours."""


@frozen
class Rows:
    """The same rows in two shapes: cells under columns, and JSON objects."""

    columns: tuple[str, ...]
    """The heading of each column."""
    cells: Sequence[Sequence[Cell]]
    """The rows as text and numbers, one cell a column."""
    records: Sequence[Mapping[str, Any]]
    """The rows as the report's document has them."""


class Report(ABC):
    """What a command found, before anything is printed."""

    @abstractmethod
    def document(self) -> Mapping[str, Any]:
        """Return all of it as the command's JSON document; its keys are public API."""

    @abstractmethod
    def rows(self) -> Rows:
        """Return what the report lists, nothing left out."""

    @abstractmethod
    def text(self, view: View) -> str:
        """Return what people read; every name in it is printable."""


class FindingsReport(Report):
    """A report of findings in files of caches."""

    @abstractmethod
    def sarif(self) -> Mapping[str, Any]:
        """Return the findings as a SARIF log."""


class PageReport(Report):
    """A report that can be a page of its own."""

    @abstractmethod
    def page(self) -> str:
        """Return the page as HTML that loads nothing from elsewhere."""


class MarkdownReport(Report):
    """A report whose Markdown is more than a table of its rows."""

    @abstractmethod
    def markdown(self) -> str:
        """Return it as Markdown; no name in it becomes a link or a mention."""


class Format(ABC):
    """One way to print reports."""

    name: ClassVar[str]
    """What it is called after ``--format``."""
    is_document: ClassVar[bool] = False
    """Whether a program reads it as one whole, so that ``--quiet`` never leaves it out."""

    encoding: ClassVar[str | None] = None
    """The encoding that its text says it has; None: whatever the terminal shows."""

    def prints(self, report: type[Report]) -> bool:
        """Whether it can print reports of this class."""
        return issubclass(report, Report)

    @abstractmethod
    def render(self, report: Report, view: View) -> str:
        """Return a report as text, without a newline at its end; "" where there is nothing."""

    def pieces(self, report: Report, view: View) -> Iterable[str]:
        """Return the same text in pieces; none where there is nothing."""
        text = self.render(report, view)
        return (text,) if text else ()


def rows_of(records: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Rows:
    """Return rows of a document whose columns are called as its keys."""
    found = list(records)
    cells = [tuple(_cell(record.get(column)) for column in columns) for record in found]
    return Rows(tuple(columns), cells, found)


_SHOWN: dict[type, Callable[[Any], Cell]] = {
    bool: lambda value: "yes" if value else "no",
    float: str,
    list: lambda value: ", ".join(map(str, value)) or None,
    tuple: lambda value: ", ".join(map(str, value)) or None,
}


def _cell(value: Any) -> Cell:
    show = _SHOWN.get(type(value))
    return value if show is None else show(value)
