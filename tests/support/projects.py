"""Projects as people keep them: a pyproject.toml, and what `uv sync` makes of it.

project = project_in(folder / "p", "six==1.16.0")
sync(shared, project, "0.8.5")               # makes project/.venv
library = library_in(folder / "mylib")       # a path dependency that can change
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.support.running_uv import binary_for, python_for, uv_environment
from tests.support.shared_cache import SharedCache


def project_in(folder: Path, *requirements: str, library: Path | None = None) -> Path:
    """Write a project that requires these, and a library beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [*requirements, *([library.name] if library else [])]
    lines = [
        "[project]",
        f'name = "{folder.name}"',
        'version = "0.1"',
        'requires-python = ">=3.9"',
        f"dependencies = {names!r}",
    ]
    if library is not None:
        where = os.path.relpath(library, folder)
        lines += ["[tool.uv.sources]", f'{library.name} = {{ path = "{where}" }}']
    (folder / "pyproject.toml").write_text("\n".join(lines) + "\n")
    return folder


def library_in(folder: Path, value: int = 1) -> Path:
    """Write a library whose module says ``VALUE``; written again, it has changed."""
    folder.mkdir(exist_ok=True)
    if (folder / "pyproject.toml").exists():
        time.sleep(1.1)  # uv tells a changed source by times
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n'
        f'[project]\nname = "{folder.name}"\nversion = "{value}.0"\ndescription = "A library."\n'
    )
    (folder / f"{folder.name}.py").write_text(f"VALUE = {value}\n")
    return folder


def sync(
    shared: SharedCache,
    project: Path,
    release: str,
    *options: str,
    more: Mapping[str, str] | None = None,
) -> Path:
    """Run `uv sync` once in a project; return its environment."""
    uv_in(shared, project, release, "sync", "--quiet", *options, more=more)
    return project / ".venv"


def uv_in(
    shared: SharedCache,
    folder: Path,
    release: str,
    *arguments: object,
    more: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run uv in a folder, in symlink mode, with Python and index of the tests."""
    user = shared.users[0]
    room = uv_environment(
        cache=shared.path,
        home=shared.home(user),
        index=shared.index,
        link_mode="symlink",
        user=user,
    )
    return subprocess.run(
        [binary_for(release, user), *map(str, arguments)],
        env=room | {"UV_PYTHON": python_for(user)} | dict(more or {}),
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        **user.process_arguments(),
    )
