"""Recognise uv among processes: its release, its cache, whether it only waits.

The release is told by metadata or bytes of the executable, never by running it.
``uv run`` and ``uvx`` stay as the parent of what they started and read the
cache no more: such a parent is *parked*. A uv that has a build or an
interpreter question running also has a child, and is at work.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from cacheadmin.fs.other_roots import status_in_root
from cacheadmin.uv.command_line import read_command
from cacheadmin.uv.executables import release_beside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.evidence.proc_files import ProcessFiles
    from cacheadmin.evidence.uv_binaries import UvBinaries

# `uv`, `uvx`, and copies kept by release: `uv-0.8.5`, `uv_0.9`.
_NAME = re.compile(r"uv[xw]?(?:[-_@]?v?\d[\w.]*)?(?:\.exe)?", re.ASCII)

# uv's own children: interpreter questions, hooks of PEP 517 builds, helpers
# that it asks for passwords.
_WORKING = (
    "keyring",
    "get_interpreter_info",
    "build_wheel",
    "build_editable",
    "build_sdist",
    "prepare_metadata_for_build",
    "get_requires_for_build",
)

_HELPERS = frozenset({"git", "git-remote-https", "git-lfs", "ssh", "ldd", "codesign"})


def is_called_uv(process: ProcessFiles) -> bool:
    """Whether a process is uv or uvx, by its executable's name."""
    program = process.executable or (process.arguments[0] if process.arguments else "")
    return _NAME.fullmatch(os.path.basename(program)) is not None


def release_of(process: ProcessFiles, binaries: UvBinaries) -> str | None:
    """Return the release a uv process runs: by its bytes, else by metadata beside it.

    None where neither tells, as for what is no uv.
    """
    version = binaries.version_of(process.pid, process.uid)
    if version is None and process.executable and is_called_uv(process):
        return release_beside(process.executable, process.root_for_kernel)
    return version


def names_another_cache(process: ProcessFiles, identity: tuple[int, int]) -> bool:
    """Whether a uv was told, by option or environment, to use a cache that is not this one.

    Those two override any ``uv.toml``; a default location proves nothing,
    because a ``uv.toml`` may name this cache.
    """
    named = read_command(process.arguments).cache_dir or process.variable("UV_CACHE_DIR")
    if not named:
        return False
    root, path = process.place_of(named)
    try:
        status = status_in_root(root, path) if root else os.stat(path)
    except FileNotFoundError:
        # This cache exists.
        return True
    except OSError:
        return False
    return (status.st_dev, status.st_ino) != identity


def is_parked(process: ProcessFiles, children: Sequence[ProcessFiles]) -> bool:
    """Whether a uv only waits for the program it was asked to run."""
    if not children or not _runs_a_program(process):
        return False
    for child in children:
        text = " ".join(child.arguments)
        if any(mark in text for mark in _WORKING) or is_called_uv(child):
            return False
        if os.path.basename(child.executable) in _HELPERS:
            return False
    return True


def _runs_a_program(process: ProcessFiles) -> bool:
    if os.path.basename(process.executable).startswith("uvx"):
        return True
    return read_command(process.arguments).runs_a_program
