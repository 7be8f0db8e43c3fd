"""What would have to change for an entry to go, or to stay: a sentence a rule. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.planner.reasons import BUCKET_NEEDED, UserKind
from cacheadmin.text.escapes import shell_word

if TYPE_CHECKING:
    from cacheadmin.planner.marks import Use

# Buckets are needed by more than people.
_OF_NO_ACCOUNT = {
    "cache": "a newer bucket of its kind would have to appear",
    "policy": "remove that release from uv.keep in the policy",
}


def to_let_go(use: Use, target: str) -> str:
    """Return what would have to change for one use to end; empty where that can't be told."""
    change = use.reason.change
    if use.reason.user is UserKind.PIN:
        change += f" ({use.words})"
    elif use.reason is BUCKET_NEEDED:
        change = _OF_NO_ACCOUNT.get(use.who, change)
    return change.replace("{who}", use.who or target)


def to_keep(path: str) -> str:
    """Return what would have to change for an entry to stay."""
    return (
        f"`cacheadmin pin add POLICY {shell_word(path)}`, or an environment that links to it: "
        "`cacheadmin venv add` makes one known"
    )
