"""How much of what one account owns is looked at in one run.

Everything that doctor reads belongs to a user who may be hostile, and a few
bytes of theirs can mean much work: a link to a large tree, one RECORD of a
million lines under a hundred names, a lock file of tables. So work is counted
against the account that owns the environment. What is beyond is not looked at,
and said: one account costs its own report.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum


class Work(Enum):
    """What is counted, and how much of it one account gets.

    A site's largest service account has a few million files in environments.
    """

    ENTRIES = 10_000_000
    """Names in folders of environments."""

    ROWS = 10_000_000
    """Lines of RECORDs."""

    ABSENT = 200_000
    """Files that RECORDs name and that are not there: each is kept until the report."""

    PROJECT_BYTES = 128 * 1024 * 1024
    """Bytes of ``uv.lock`` and ``pyproject.toml``."""


@dataclass(slots=True)
class WorkDone:
    """What was done so far in one run, by account and kind of work."""

    done: Counter[tuple[int, Work]] = field(default_factory=Counter)
    """Work done, in the unit of its kind, by account (uid) and kind of work."""

    def left(self, uid: int, work: Work) -> int:
        """Return how much of it an account has left."""
        return max(0, work.value - self.done[uid, work])

    def spend(self, uid: int, work: Work, amount: int) -> None:
        """Count work that was done."""
        self.done[uid, work] += amount
