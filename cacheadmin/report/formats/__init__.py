"""The formats of reports: what a format is, and one module for each."""

from __future__ import annotations

from cacheadmin.report.formats.csv import Csv
from cacheadmin.report.formats.html import Html
from cacheadmin.report.formats.interface import (
    FindingsReport,
    Format,
    MarkdownReport,
    PageReport,
    Report,
    Rows,
    View,
    rows_of,
)
from cacheadmin.report.formats.json import Json
from cacheadmin.report.formats.jsonl import JsonLines
from cacheadmin.report.formats.markdown import Markdown
from cacheadmin.report.formats.sarif import Sarif
from cacheadmin.report.formats.table import Table

__all__ = [
    "FORMATS",
    "FindingsReport",
    "Format",
    "MarkdownReport",
    "PageReport",
    "Report",
    "Rows",
    "View",
    "formats_of",
    "rows_of",
]

_ALL: tuple[Format, ...] = (Table(), Json(), JsonLines(), Csv(), Markdown(), Sarif(), Html())

FORMATS = {one.name: one for one in _ALL}


def formats_of(report: type[Report]) -> tuple[str, ...]:
    """Return the names of the formats that print reports of a class, ``table`` first."""
    return tuple(one.name for one in _ALL if one.prints(report))
