"""How pins look: the rows of ``pin list``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cacheadmin.report.tables import comma_separated, table
from cacheadmin.text.documents import dumps
from cacheadmin.text.timestamps import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cacheadmin.evidence.facts import Pin

_COLUMNS = ("target", "author", "status", "expires", "reason", "created")


def pin_json(pin: Pin, author: str, status: str) -> dict[str, Any]:
    """Return one pin as a row of the document."""
    return {
        "target": pin.target,
        "path": pin.path,
        "package": pin.package,
        "package_version": pin.version,
        "author": author,
        "uid": pin.uid,
        "reason": pin.reason,
        "status": status,
        "created_at": rfc3339(pin.created_ns),
        "expires_at": None if pin.expires_ns is None else rfc3339(pin.expires_ns),
        "file": pin.file,
    }


def show_pins(rows: Sequence[tuple[Pin, str, str]], form: str, header: Mapping[str, Any]) -> str:
    """Return (pin, author, status) rows as ``table``, ``json``, ``jsonl`` or ``csv``."""
    as_json = [pin_json(*row) for row in rows]
    if form == "json":
        return dumps({**header, "pins": as_json})
    if form == "jsonl":
        return "\n".join(json.dumps(row) for row in as_json)
    cells = [
        (
            pin.target,
            author,
            _status_words(status),
            rfc3339(pin.expires_ns) if pin.expires_ns is not None else None,
            pin.reason or None,
            rfc3339(pin.created_ns),
        )
        for pin, author, status in rows
    ]
    if form == "csv":
        return comma_separated(_COLUMNS, cells)
    return table(_COLUMNS, cells) if cells else "nothing is pinned"


def _status_words(status: str) -> str:
    return {
        "active": "kept",
        "expired": "expired, keeps nothing",
        "overdue": "kept: due by the calendar, not yet seen for that long",
    }[status]
