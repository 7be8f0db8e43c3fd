"""Real uv releases, each fetched once with pip into an ignored folder.

    uv_binary("0.8.5")   ->  .../.uv-releases/0.8.5/bin/uv

The folder is ``.uv-releases`` of the repository, or ``$CACHEADMIN_UV_RELEASES``.
Safe when several workers ask at once: one fetches under a file lock and renames
the finished folder into place, the others wait. Wheels from the package index
are the only source; nothing is built.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from cacheadmin.uv.releases import buckets_of

REPOSITORY = Path(__file__).resolve().parents[2]

#: The newest release the tests know. Raise it together with ``uv/releases.json``.
NEWEST = "0.13.9"


def newest_bucket(kind: str) -> str:
    """Return the name of the newest release's bucket of a kind, such as ``wheels-v8``."""
    (name,) = [name for name in buckets_of(NEWEST) or () if name.rpartition("-v")[0] == kind]
    return name


def releases_folder() -> Path:
    """Return the folder that keeps fetched releases; it may not exist yet."""
    return Path(os.environ.get("CACHEADMIN_UV_RELEASES") or REPOSITORY / ".uv-releases")


@cache
def uv_binary(version: str) -> Path:
    """Return the path of that uv release's binary; fetch it if need be."""
    folder = releases_folder()
    binary = folder / version / "bin" / "uv"
    if binary.exists():
        return binary
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            _fetch(version, folder)
    return binary


def _fetch(version: str, folder: Path) -> None:
    unfinished = folder / f".{version}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += [
        "--only-binary",
        ":all:",
        "--disable-pip-version-check",
        "--root-user-action=ignore",
    ]
    command += ["--target", str(unfinished), f"uv=={version}"]
    subprocess.run(command, check=True)
    unfinished.rename(folder / version)
