"""Package names as people and files spell them, and the patterns of ``prune.keep``.

A pattern is ``numpy``, ``torch*`` or ``six==1.16.0``.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SEPARATORS = re.compile(r"[-_.]+")


def normalized(package: str) -> str:
    """Return a package name as PEP 503 compares names."""
    return _SEPARATORS.sub("-", package).lower()


def matches(patterns: Sequence[str], package: str | None, version: str | None) -> str | None:
    """Return the first pattern that names the package, or None.

    A pattern is a name, may hold ``*``, ``?`` and ``[...]``, and may end in
    ``==VERSION`` (wildcards allowed there too).
    """
    if package is None:
        return None
    for pattern in patterns:
        name, _, wanted = pattern.partition("==")
        if not fnmatchcase(normalized(package), normalized(name.strip())):
            continue
        if not wanted or fnmatchcase(version or "", wanted.strip()):
            return pattern
    return None
