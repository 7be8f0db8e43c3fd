"""Running real uv releases in a clean room.

    run_uv("0.8.5", "venv", str(env), cache=cache, home=home, index=index)
    create_environment("0.8.5", env, "six==1.16.0", cache=..., home=..., index=...)

The child's environment is built from nothing. uv never sees configuration:
``UV_NO_CONFIG`` stops releases that know it, ``XDG_CONFIG_*`` and a neutral
working folder the others. Packages come from the loopback index alone, Python
is never downloaded. With ``user`` (``tests.support.users``) the release runs as
that user, with that user's groups and umask; that needs root.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.support.packages import Index
from tests.support.small_python import small_python
from tests.support.users import (
    User,
    open_temporary_folder,
    python_for_everyone,
    reachable_by_everyone,
)
from tests.support.uv_releases import uv_binary

Name = str | os.PathLike[str]


def python_for(user: User | None) -> str:
    """Return the Python that a uv run by ``user`` is told to use."""
    if user is None or user.uid == os.geteuid():
        return small_python(sys.executable)
    return python_for_everyone() or sys.executable


def uv_environment(
    *,
    cache: Name,
    home: Name,
    index: Index | None = None,
    link_mode: str | None = None,
    user: User | None = None,
) -> dict[str, str]:
    """Return the whole environment of a uv process."""
    variables = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": os.fspath(home),
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
        "XDG_CONFIG_HOME": os.path.join(home, ".config"),
        "XDG_CONFIG_DIRS": os.path.join(home, ".config"),
        "XDG_DATA_HOME": os.path.join(home, ".local", "share"),
        "UV_CACHE_DIR": os.fspath(cache),
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if user is not None and user.uid != os.geteuid():
        variables["TMPDIR"] = "/tmp"
    if index is not None:
        # Known to every release since 0.1.18; the later UV_DEFAULT_INDEX is not.
        variables["UV_INDEX_URL"] = index.url
    if link_mode is not None:
        variables["UV_LINK_MODE"] = link_mode
    return variables


def run_uv(
    version: str,
    *arguments: Name,
    cache: Name,
    home: Name,
    index: Index | None = None,
    link_mode: str | None = None,
    user: User | None = None,
    cwd: Name | None = None,
    check: bool = True,
    extra_environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run one uv command to its end; stdout and stderr are captured as text.

    With ``check`` a failure raises with uv's own words in the message.
    """
    result = subprocess.run(
        [os.fspath(binary_for(version, user)), *map(os.fspath, arguments)],
        env=uv_environment(cache=cache, home=home, index=index, link_mode=link_mode, user=user)
        | (extra_environment or {}),
        cwd=cwd or home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
        **(user.process_arguments() if user else {}),
    )
    if check and result.returncode:
        words = " ".join(map(os.fspath, arguments))
        raise AssertionError(f"uv {version} {words}: {result.returncode}\n{result.stderr}")
    return result


def create_environment(
    version: str,
    environment: Name,
    *requirements: str,
    cache: Name,
    home: Name,
    index: Index,
    link_mode: str | None = "symlink",
    user: User | None = None,
) -> Path:
    """Create a venv with that release and install into it; return its path."""
    room = {"cache": cache, "home": home, "index": index, "user": user}
    run_uv(version, "venv", "--quiet", "--python", python_for(user), environment, **room)
    if requirements:
        install(version, environment, *requirements, link_mode=link_mode, **room)
    return Path(environment)


def install(
    version: str,
    environment: Name,
    *requirements: str,
    cache: Name,
    home: Name,
    index: Index,
    link_mode: str | None = "symlink",
    user: User | None = None,
) -> None:
    """Install into an environment that exists."""
    python = os.path.join(environment, "bin", "python")
    run_uv(
        version,
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        *requirements,
        cache=cache,
        home=home,
        index=index,
        link_mode=link_mode,
        user=user,
    )


def binary_for(version: str, user: User | None = None) -> Path:
    """Return a binary of the release that ``user`` can start."""
    binary = uv_binary(version)
    if user is None or user.uid == os.geteuid() or reachable_by_everyone(binary):
        return binary
    return _open_copy(version)


@cache
def _open_copy(version: str) -> Path:
    """Copy a binary out of a private checkout; one copy a process."""
    copy = open_temporary_folder("uv-for-everyone-") / "uv"
    atexit.register(shutil.rmtree, copy.parent, ignore_errors=True)
    shutil.copy(uv_binary(version), copy)
    copy.chmod(0o755)
    return copy
