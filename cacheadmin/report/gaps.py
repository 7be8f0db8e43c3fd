"""How gaps look: places where a user of the cache may be, and that were not looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.report.width import wrapped, wrapped_fix
from cacheadmin.text.escapes import printable
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cacheadmin.evidence.facts import Gap

# A person reads so many; the rest is counted, and whole in JSON.
_ROWS = 10


def gaps_json(
    gaps: Iterable[Gap], host: str, user: Callable[[int | None], str]
) -> list[dict[str, Any]]:
    """Return gaps as the contract's rows; ``host`` is this host's name."""
    return [
        {
            "id": gap.id,
            "subject": gap.subject,
            "owner": None if gap.uid is None else user(gap.uid),
            "host": gap.host or host,
            "detail": gap.detail,
            "fix": gap.fix,
        }
        for gap in gaps
    ]


def unseen_words(number: int) -> str:
    """Return ``3 places ... were not looked at``; empty for none."""
    if not number:
        return ""
    verb = "was" if number == 1 else "were"
    return f"{format_count(number, 'place')} where others may be {verb} not looked at"


def gaps_text(gaps: Sequence[Gap]) -> str:
    """Return gaps for people: what was not looked at, and what closes each; empty without any."""
    if not gaps:
        return ""
    lines = [f"{format_count(len(gaps), 'gap')}: where users of this cache may be, unseen"]
    for gap in gaps[:_ROWS]:
        lines.append(wrapped(f"{gap.id}: {printable(gap.detail)}", "  ", "    "))
        lines.append(wrapped_fix(printable(gap.fix), "      "))
    if len(gaps) > _ROWS:
        lines.append(f"  ... and {len(gaps) - _ROWS} more (--format json has all)")
    return "\n".join(lines)
