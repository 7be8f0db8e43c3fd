"""Tell what sort of environment a folder is, without reading a file's content."""

from __future__ import annotations

import glob
import os

from cacheadmin.evidence.facts import EnvironmentKind


def kind_of(path: str) -> EnvironmentKind | None:
    """Return what sort of environment a folder is; None when it is none, or is closed to us."""
    if os.path.lexists(f"{path}/uv-receipt.toml"):
        return EnvironmentKind.TOOL
    if os.path.lexists(f"{path}/pyvenv.cfg"):
        return EnvironmentKind.VENV
    try:
        names = os.listdir(path)
    except OSError:
        return None
    if any(name.endswith(".dist-info") for name in names):
        return EnvironmentKind.TARGET
    if glob.glob(f"{glob.escape(path)}/lib/python*/*-packages"):
        return EnvironmentKind.PYTHON
    return None


def is_closed(path: str) -> bool:
    """Whether rights keep us from listing a folder, or from looking at what it lists."""
    try:
        os.listdir(path)
        os.lstat(f"{path}/.")
    except PermissionError:
        return True
    except OSError:
        return False
    return False
