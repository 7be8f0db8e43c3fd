"""A copy of a Python without what environments of tests don't need.

    small_python("/usr/bin/python3.11")  ->  .../.test-python/3.11.2-.../bin/python3.11

Every look follows the links of each Python that uv knows, as some are in there. Of a
system's that is all of /usr, of a developer's every package that was ever installed:
for each command of each test anew, as a test's state remembers nothing. This one has the
standard library. It lies in ``.test-python`` of the repository, and is copied once.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from zlib import crc32

from tests.support.uv_releases import REPOSITORY

_FOLDER = REPOSITORY / ".test-python"
_NOT_NEEDED = ("test", "idlelib", "tkinter", "turtledemo", "lib2to3", "config-*", "*-packages")
_DESCRIBE = """
import json, os, platform, sys, sysconfig
print(json.dumps({
    "version": platform.python_version(), "prefix": sys.base_prefix,
    "program": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
    "library": sysconfig.get_path("stdlib"),
}))
"""
_USE = "import ctypes, ensurepip, hashlib, json, ssl, sys, venv, zlib; print(sys.prefix)"


@cache
def small_python(program: str) -> str:
    """Return a copy of that Python, or itself where a copy does not start."""
    asked = _run([program, "-I", "-S", "-c", _DESCRIBE])
    found = json.loads(asked) if asked else {}
    if not found or not Path(found["library"]).is_relative_to(found["prefix"]):
        return program
    at = crc32(found["program"].encode())
    folder = _FOLDER / f"{found['version']}-{at:08x}"
    copied = folder / "bin" / Path(found["program"]).name
    if not copied.exists():
        _FOLDER.mkdir(exist_ok=True)
        with (_FOLDER / f".{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not copied.exists():
                _copy(found, folder)
    return str(copied) if _run([str(copied), "-I", "-c", _USE]) == str(folder) else program


def _copy(found: dict[str, str], folder: Path) -> None:
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "bin").mkdir(parents=True)
    shutil.copy2(found["program"], unfinished / "bin")
    library = unfinished / Path(found["library"]).relative_to(found["prefix"])
    shutil.copytree(
        found["library"],
        library,
        symlinks=False,
        ignore=shutil.ignore_patterns(*_NOT_NEEDED, "__pycache__"),
        ignore_dangling_symlinks=True,
    )
    (library / "site-packages").mkdir()
    program_here = unfinished / "bin" / Path(found["program"]).name
    command = [program_here, "-I", "-m", "compileall", "-q", "-s", unfinished, "-p", folder]
    subprocess.run([*command, library], check=False)
    unfinished.rename(folder)


def _run(command: list[str]) -> str:
    environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            command, env=environment, check=False, capture_output=True, text=True, cwd="/"
        )
    except OSError:
        return ""
    return "" if done.returncode else done.stdout.strip()
