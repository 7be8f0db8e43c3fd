"""How registered environments look: the rows of ``venv list``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cacheadmin.report.tables import comma_separated, table
from cacheadmin.text.documents import dumps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cacheadmin.registration import Registration

_COLUMNS = ("path", "how", "uid", "exists", "last seen")


def show_registrations(rows: Sequence[Registration], form: str, header: Mapping[str, Any]) -> str:
    """Return the rows as ``table``, ``json``, ``jsonl`` or ``csv``."""
    as_json = [
        {
            "path": row.path,
            "how": row.how,
            "uid": row.uid,
            "exists": row.exists,
            "seen_at": row.seen_at,
        }
        for row in rows
    ]
    if form == "json":
        return dumps({**header, "registrations": as_json})
    if form == "jsonl":
        return "\n".join(json.dumps(row) for row in as_json)
    cells = [(r.path, r.how, r.uid, "yes" if r.exists else "no", r.seen_at) for r in rows]
    if form == "csv":
        return comma_separated(_COLUMNS, cells)
    return table(_COLUMNS, cells) if cells else "no environment is registered or remembered"
