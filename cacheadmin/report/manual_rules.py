"""Write PLAN RULES of cacheadmin(7) from the table of reasons: ``make manual-rules``."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from cacheadmin.planner.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cacheadmin.planner.reasons import Reason

_BEGIN = '.\\" BEGIN PLAN RULES\n'
_END = '.\\" END PLAN RULES\n'
_WIDTH = 84


def with_plan_rules(page: str, reasons: Iterable[Reason]) -> str:
    """Return the text of the manual page with these reasons between its two comments."""
    head, begin, rest = page.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    return head + begin + "".join(map(_entry, reasons)) + end + tail


def _entry(reason: Reason) -> str:
    decision = "keep" if reason.keeps else "remove"
    lines = textwrap.wrap(reason.means, _WIDTH, break_long_words=False, break_on_hyphens=False)
    # At the beginning of a line a dot would be a command of roff.
    words = "\n".join(f"\\&{line}" if line[0] in ".'" else line for line in map(_escaped, lines))
    return f'.TP\n.BR {_escaped(reason.id)} " ({decision})"\n{words}\n'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")


def _main() -> None:
    page = Path(sys.argv[1])
    text = page.read_text(encoding="utf-8")
    page.write_text(with_plan_rules(text, REASONS.values()), encoding="utf-8")


if __name__ == "__main__":
    _main()
