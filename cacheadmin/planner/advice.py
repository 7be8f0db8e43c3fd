"""What would have to change for an entry to go, or to stay: a sentence a rule. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cacheadmin.planner.reasons import BUCKET_NEEDED, PINNED
from cacheadmin.planner.users import OtherUser, User
from cacheadmin.planner.words import describe_user
from cacheadmin.text.escapes import shell_word

if TYPE_CHECKING:
    from cacheadmin.planner.marks import Use

_PINNED: Final = frozenset(PINNED.values())

# Buckets are needed by more than people.
_OF_NO_ACCOUNT: Final[dict[User, str]] = {
    OtherUser.NEWEST_OF_KIND: "a newer bucket of its kind would have to appear",
    OtherUser.POLICY: "remove that release from uv.keep in the policy",
}


def to_let_go(use: Use) -> str:
    """Return what would have to change for one use to end; empty where that can't be told."""
    change = use.reason.change
    if use.reason in _PINNED:
        change += f" ({use.detail})"
    elif use.reason is BUCKET_NEEDED:
        change = _OF_NO_ACCOUNT.get(use.user, change)
    return change.replace("{who}", describe_user(use.user))


def to_keep(path: str) -> str:
    """Return what would have to change for an entry to stay."""
    return (
        f"`cacheadmin pin add POLICY {shell_word(path)}`, or an environment that links to it: "
        "`cacheadmin venv add` makes one known"
    )
