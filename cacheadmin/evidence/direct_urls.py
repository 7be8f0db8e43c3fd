"""Which git commit a distribution was built from, by its ``direct_url.json``.

uv writes that file into the environment itself, whatever the link mode, for what
came from an address instead of an index (PEP 610). Nothing in the cache says which
environments were built from a checkout; this does.
"""

from __future__ import annotations

import json
import re

from cacheadmin.fs.small_files import ReadFailure, read_file

_MAX_BYTES = 16 * 1024
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.ASCII)


def commit_of(dist_info: str) -> str | None:
    """Return the commit (40 or 64 hex digits) that a ``*.dist-info`` folder names; else None.

    What its owner wrote there names a commit or nothing; a file that can't be read
    names none, for the distribution itself is looked at in other ways.
    """
    content = read_file(f"{dist_info}/direct_url.json", _MAX_BYTES)
    if isinstance(content, ReadFailure):
        return None
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        return None
    origin = parsed.get("vcs_info") if isinstance(parsed, dict) else None
    commit = origin.get("commit_id") if isinstance(origin, dict) else None
    return commit if isinstance(commit, str) and _COMMIT.fullmatch(commit) else None
