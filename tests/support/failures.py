"""What a failed run said, in a file: a terminal forgets it, and CI keeps the end alone."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / ".test-failures"
_KEPT = 20


def write_failures(reports: list[Any]) -> Path | None:
    """Write down what failed with all it printed; return the file, None where nothing failed."""
    if not reports:
        return None
    FOLDER.mkdir(exist_ok=True)
    for old in sorted(FOLDER.iterdir())[: 1 - _KEPT]:
        old.unlink(missing_ok=True)
    file = FOLDER / f"{time.strftime('%Y%m%d-%H%M%S')}-{len(reports)}-failed.txt"
    parts = [f"{shlex.join(sys.argv)}\non Python {sys.version}\n"]
    for report in reports:
        parts.append(f"==== {report.nodeid} ({getattr(report, 'when', 'collect')})")
        parts.append(str(getattr(report, "longreprtext", report.longrepr)))
        parts += [f"---- {title}\n{text}" for title, text in report.sections]
    file.write_text("\n".join(parts), encoding="utf-8", errors="backslashreplace")
    return file
