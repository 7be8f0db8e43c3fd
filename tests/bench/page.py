"""The figures of ``docs/performance.md``: each comparison writes its own table there.

A table stands between two lines of comment with the comparison's name. Text
around it is written by people.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

from tests.support.uv_releases import REPOSITORY

PAGE = REPOSITORY / "docs" / "performance.md"


def put_table(name: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, and put it into the page in the place of the last one of that name."""
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    lines += ["", machine_words()]
    table = "\n".join(lines)
    print(f"\n{table}", flush=True)
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = PAGE.read_text(encoding="utf-8")
    if begin not in text or end not in text:
        raise ValueError(f"{PAGE} has no place for {name}")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    PAGE.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")


def machine_words() -> str:
    """Return on what was measured, and how busy that was."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    return (
        f"{cores} cores, Linux {platform.release().split('-')[0]}, Python "
        f"{platform.python_version()}, load {load:.0f}."
    )
