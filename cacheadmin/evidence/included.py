"""What a path is that the policy names, or that matches one of its patterns.

It is an environment whatever it looks like, but for files and folders that a
pattern happens to match.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind
from cacheadmin.evidence.kinds import is_closed, kind_of
from cacheadmin.evidence.owners import owner_by_name, owner_of_link
from cacheadmin.evidence.redirects import NAMES, redirected
from cacheadmin.fs.presence import may_be_folder
from cacheadmin.fs.small_files import ReadFailure
from cacheadmin.readers import Question
from cacheadmin.values import frozen

SOURCE = "include"


@frozen
class Included:
    """A path that is there."""

    path: str
    """Absolute path."""
    by_pattern: bool
    """Whether a pattern matched it, rather than that the policy names it in full."""


def read_included(included: Included) -> tuple[Candidate, ...]:
    """Return the environment that a path is, or names; nothing for what is none."""
    path = included.path
    kind = kind_of(path)
    # Most are environments: whether it is a file is asked of the others.
    if kind is None and os.path.isfile(path):
        # A `.venv` that is a file; a pattern may match other files as well.
        named = redirected(path) if os.path.basename(path) in NAMES else None
        if isinstance(named, ReadFailure):
            # Any environment: the scan says that it can't be read.
            named = path
        return () if named is None else (Candidate(named, EnvironmentKind.VENV, (SOURCE,)),)
    if kind is None and included.by_pattern and not (os.path.islink(path) or is_closed(path)):
        # `/srv/*` names folders that are no environments, too; those with packages are scanned.
        if not may_be_folder(path):
            return ()
        kind = EnvironmentKind.FOLDER
    return (Candidate(path, kind or EnvironmentKind.VENV, (SOURCE,)),)


def _owner(included: Included) -> int | None:
    return owner_of_link(included.path)


def _probable_owner(included: Included) -> int | None:
    return owner_by_name(included.path)


def _closed(included: Included, _parts: Sequence[object]) -> Iterable[str]:
    return (included.path,)


INCLUDED: Question[Included, tuple[Candidate, ...]] = Question(
    read_included,
    tuple[Candidate, ...],
    whose=_owner,
    blame=_probable_owner,
    together=64,
    closed=_closed,
)
