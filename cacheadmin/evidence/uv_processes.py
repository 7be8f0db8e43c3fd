"""Recognise uv among processes: its release, its cache, whether it only waits.

The release is told by metadata beside the executable, never by running it.
``uv run`` and ``uvx`` stay as the parent of what they started and read the
cache no more: such a parent is *parked*. A uv that has a build or an
interpreter question running also has a child, and is at work.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cacheadmin.uv.releases import parse_release

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.evidence.proc_reading import ProcessFiles

_NAMES = frozenset({"uv", "uvx"})

# uv's own children: interpreter questions, and the hooks of PEP 517 builds.
_WORKING = (
    "get_interpreter_info",
    "build_wheel",
    "build_editable",
    "build_sdist",
    "prepare_metadata_for_build",
    "get_requires_for_build",
)


def is_uv(process: ProcessFiles) -> bool:
    """Whether a process is uv or uvx, by its executable's name."""
    if process.executable:
        return os.path.basename(process.executable) in _NAMES
    return bool(process.arguments) and os.path.basename(process.arguments[0]) in _NAMES


def release_beside(executable: str, root: str = "") -> str | None:
    """Return the release that metadata beside a uv executable names.

    ``PREFIX/bin/uv`` with ``PREFIX/lib/python*/site-packages/uv-X.dist-info``
    (pip, pipx, uv tool), or ``DIR/bin/uv`` with ``DIR/uv-X.dist-info``
    (``pip install --target``). ``root`` is put before the path, for processes
    that see other mounts.
    """
    prefix = root + os.path.dirname(os.path.dirname(executable))
    folders = [prefix]
    try:
        libraries = os.listdir(f"{prefix}/lib")
    except OSError:
        libraries = []
    for name in libraries:
        if name.startswith(("python", "pypy")):
            folders += [
                f"{prefix}/lib/{name}/{kind}" for kind in ("site-packages", "dist-packages")
            ]
    for folder in folders:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            if name.startswith("uv-") and name.endswith(".dist-info"):
                version = name[3:].removesuffix(".dist-info")
                if parse_release(version) is not None:
                    return version
    return None


def names_another_cache(process: ProcessFiles, root: str, identity: tuple[int, int]) -> bool:
    """Whether a uv was told, by option or environment, to use a cache that is not this one.

    Those two override any ``uv.toml``; a default location proves nothing,
    because a ``uv.toml`` may name this cache.
    """
    named = process.environment.get("UV_CACHE_DIR", "")
    arguments = process.arguments
    for position, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument == "--cache-dir" and position + 1 < len(arguments):
            named = arguments[position + 1]
        elif argument.startswith("--cache-dir="):
            named = argument.removeprefix("--cache-dir=")
    if not named:
        return False
    path = named if named.startswith("/") else f"{process.folder}/{named}"
    try:
        status = os.stat(root + path)
    except OSError:
        return False
    return (status.st_dev, status.st_ino) != identity


def is_parked(process: ProcessFiles, children: Sequence[ProcessFiles]) -> bool:
    """Whether a uv only waits for the program it was asked to run."""
    if not children or not _runs_a_program(process):
        return False
    for child in children:
        text = " ".join(child.arguments)
        if any(mark in text for mark in _WORKING) or is_uv(child):
            return False
        if os.path.basename(child.executable) in ("git", "git-remote-https"):
            return False
    return True


def _runs_a_program(process: ProcessFiles) -> bool:
    if os.path.basename(process.executable) == "uvx":
        return True
    words = [argument for argument in process.arguments[1:] if not argument.startswith("-")]
    return "run" in words[:4] or "x" in words[:1] or words[:2] == ["tool", "uvx"]
