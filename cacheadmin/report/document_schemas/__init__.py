"""JSON Schemas of the documents that commands print, and of the lines of the audit trail.

``shapes`` are the words they are written in, ``parts`` what several share,
``documents`` the list. ``make schemas`` writes them to docs/schemas.
"""

from __future__ import annotations

from cacheadmin.report.document_schemas.documents import DOCUMENTS, TRAIL
from cacheadmin.report.document_schemas.parts import CACHE, POLICY
from cacheadmin.report.document_schemas.shapes import TEXT, TIME, Shape, maybe, row

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def document_schema(name: str) -> Shape:
    """Return the schema of the document ``cacheadmin/NAME/1``. Raises KeyError."""
    summary, content = DOCUMENTS[name]
    begin = row(
        {
            "schema": {"const": f"cacheadmin/{name}/1"},
            "version": TEXT,
            "host": TEXT,
            "generated_at": TIME,
            "policy": maybe(POLICY),
            "cache": maybe(CACHE),
        }
    )
    return {
        "$schema": _DIALECT,
        "$id": f"urn:cacheadmin:document:{name}:1",
        "title": f"cacheadmin: {summary}",
        "allOf": [begin, content],
    }


def trail_schema() -> Shape:
    """Return the schema of a line of the audit trail."""
    return {
        "$schema": _DIALECT,
        "$id": "urn:cacheadmin:document:trail:1",
        "title": "cacheadmin: a line of the audit trail",
        **TRAIL,
    }


def document_schemas() -> dict[str, Shape]:
    """Return the schema of every document by its name."""
    return {**{name: document_schema(name) for name in DOCUMENTS}, "trail": trail_schema()}
