"""What a user asked ``uvx`` for: the roots among an environment's distributions.

uv leaves no note of it: every distribution of a cached environment is marked
``REQUESTED`` (run 0.5.10, 0.8.5, 0.13.8). But a tool is what no other one
there requires, so the answer follows from METADATA.
"""

from __future__ import annotations

import os
import re

from cacheadmin.fs.held_folder import below, below_unfollowed
from cacheadmin.fs.resolution import resolve
from cacheadmin.fs.small_files import ReadFailure, read_file
from cacheadmin.packages.names import normalized

_METADATA_BYTES = 1024 * 1024
_REQUIREMENT = re.compile(rb"^Requires-Dist:\s*([A-Za-z0-9][A-Za-z0-9._-]*)", re.MULTILINE)
_MAX_DISTRIBUTIONS = 2_000


def tools_of(environment: str) -> dict[str, str]:
    """Return the distributions that no other one in an environment requires, with versions.

    Sorted. All of them when they require each other in a circle; none when there is
    nothing to read.
    """
    versions: dict[str, str] = {}
    required: set[str] = set()
    for folder in _site_packages(environment):
        try:
            entries = os.listdir(below(folder))[:_MAX_DISTRIBUTIONS]
        except OSError:
            continue
        for entry in entries:
            if not entry.endswith(".dist-info"):
                continue
            name, _, version = entry.removesuffix(".dist-info").partition("-")
            name = normalized(name)
            versions[name] = version
            # Often a link into an archive, and its owner may point it anywhere:
            # resolved once, and then read like any foreign file.
            metadata = resolve(f"{folder}/{entry}/METADATA")
            content = read_file(metadata, _METADATA_BYTES)
            if not isinstance(content, ReadFailure):
                required |= requirements_in(content) - {name}
    tools = versions.keys() - required or versions.keys()
    return {name: versions[name] for name in sorted(tools)}


def python_is_gone(environment: str) -> bool:
    """Whether an environment's Python is a link that leads nowhere on this host."""
    python = f"{environment}/bin/python"
    return os.path.islink(below_unfollowed(python)) and not os.path.exists(below(python))


def requirements_in(metadata: bytes) -> frozenset[str]:
    """Return the packages that a METADATA file requires, extras and markers included."""
    headers = metadata.split(b"\n\n", 1)[0]
    return frozenset(normalized(os.fsdecode(name)) for name in _REQUIREMENT.findall(headers))


def _site_packages(environment: str) -> list[str]:
    try:
        libraries = os.listdir(below(f"{environment}/lib"))
    except OSError:
        return []
    return [f"{environment}/lib/{name}/site-packages" for name in libraries]
