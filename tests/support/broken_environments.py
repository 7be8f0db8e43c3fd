"""Every kind of environment that uv makes, to be broken and repaired with real releases.

    room = Room.create(folder, index, user)
    made = KINDS["project"](room, "0.8.5")      # an Installed: path, and what must import
    room.lose_everything()                      # as another release's `uv cache prune` does
    room.repair(finding, "0.5.10")              # the very commands doctor printed
    made.works()                                # None, or what Python said

Everything is done by the room's user, with that user's own groups and umask.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.mixed_cache import git_project
from tests.support.packages import Index
from tests.support.running_uv import Name, binary_for, python_for, run_uv, uv_environment
from tests.support.users import User, me

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

_PROJECT = """
[project]
name = "proj"
version = "0.1"
description = "A project."
requires-python = ">=3.8"
dependencies = ["six==1.16.0"]
[project.optional-dependencies]
zone = ["pytz==2024.1"]
talk = ["cowsay==6.0"]
[dependency-groups]
dev = ["idna==3.7"]
docs = ["packaging==25.0"]
"""
_BUILD = '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n'
_SCRIPT = """# /// script
# requires-python = ">=3.8"
# dependencies = ["six==1.16.0"]
# ///
import six.moves
"""


@dataclass
class Installed:
    """An environment and how to see that it works: modules, and which Python imports them."""

    path: Path
    modules: tuple[str, ...]
    python: Path
    user: User
    python_path: Path | None = None
    names: frozenset[str] = field(default_factory=frozenset)

    def works(self) -> str:
        """Import every module as the user; return "" or the last line of what Python said."""
        if not self.python.exists():
            return f"{self.python} is not there"
        variables = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
        if self.python_path is not None:
            variables["PYTHONPATH"] = str(self.python_path)
        done = subprocess.run(
            [self.python, "-c", f"import {', '.join(self.modules)}"],
            env=variables,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            **self.user.process_arguments(),
        )
        return "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]

    def distributions(self) -> set[str]:
        """Return the names of the metadata folders that are installed."""
        return {path.name for path in self.path.glob("**/*.dist-info")}


@dataclass
class Room:
    """A cache, a home, and one user who installs."""

    folder: Path
    index: Index
    user: User
    link_mode: str = "symlink"

    @classmethod
    def create(
        cls, folder: Path, index: Index, user: User | None = None, link_mode: str = "symlink"
    ) -> Room:
        """Lay out an empty cache and a home in a folder that everybody can enter."""
        room = cls(folder, index, user or me(), link_mode)
        for path in (room.cache, room.home):
            path.mkdir(parents=True)
            path.chmod(0o755)
            if os.geteuid() == 0:
                os.chown(path, room.user.uid, room.user.gid)
        return room

    @property
    def cache(self) -> Path:
        """The cache."""
        return self.folder / "cache"

    @property
    def home(self) -> Path:
        """The home of the user, where all environments are."""
        return self.folder / "home"

    @property
    def python(self) -> str:
        """The Python that environments are made with."""
        return python_for(self.user)

    def uv(
        self, release: str, *words: Name, check: bool = True, cwd: Name | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a uv command as the user."""
        return run_uv(
            release,
            *words,
            cache=self.cache,
            home=self.home,
            index=self.index,
            link_mode=self.link_mode,
            user=self.user,
            cwd=cwd,
            check=check,
            extra_environment={
                "UV_PYTHON": self.python,
                "UV_TOOL_DIR": str(self.home / "tools"),
                "UV_TOOL_BIN_DIR": str(self.home / "bin"),
            },
        )

    def write(self, name: str, text: str) -> Path:
        """Write a file of the user's, with the folders above it."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.give(path.parent, path)
        return path

    def give(self, *paths: Path) -> None:
        """Make files belong to the user."""
        if os.geteuid() == 0:
            for path in paths:
                os.chown(path, self.user.uid, self.user.gid, follow_symlinks=False)

    def venv(self, release: str, name: str, *requirements: Name) -> Path:
        """Make an environment and install into it."""
        path = self.home / name
        self.uv(release, "venv", "--python", self.python, path)
        self.uv(release, "pip", "install", "--python", path, *requirements)
        return path

    def lose_everything(self) -> None:
        """Do what the prune of another uv release does: wheels go, with what points to them.

        Cached environments stay, so that these can be broken as well.
        """
        for bucket in (*self.cache.glob("wheels-v*"), *self.cache.glob("sdists-v*")):
            shutil.rmtree(bucket)
        self.lose_archives()

    def lose_archives(self) -> None:
        """Delete every wheel's archive, and leave what points to it."""
        for archive in (self.cache / "archive-v0").iterdir():
            if not (archive / "pyvenv.cfg").exists():
                shutil.rmtree(archive)

    def repair(self, finding: dict[str, Any], release: str) -> None:
        """Run the commands of a finding, as its owner, with another uv release."""
        for words in finding["commands"]:
            program = [binary_for(release, self.user)] if words[0] == "uv" else [words[0]]
            done = subprocess.run(
                [*program, *words[1:]],
                env=self.variables(finding["link_mode"]),
                cwd=finding["cwd"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                **self.user.process_arguments(),
            )
            assert done.returncode == 0, f"{words}: {done.stderr}"

    def variables(self, link_mode: str = "symlink") -> dict[str, str]:
        """Return what a repair finds in its environment."""
        return uv_environment(
            cache=self.cache,
            home=self.home,
            index=self.index,
            link_mode=link_mode,
            user=self.user,
        )


def _venv(room: Room, release: str) -> Installed:
    path = room.venv(release, "venv", "six==1.16.0", "pytz==2024.1")
    return Installed(path, ("six.moves", "pytz.tzinfo"), path / "bin/python", room.user)


def _made_by_python(room: Room, release: str) -> Installed:
    path = room.home / "made-by-python"
    subprocess.run(
        [room.python, "-m", "venv", "--without-pip", path],
        check=True,
        cwd="/",
        **room.user.process_arguments(),
    )
    room.uv(release, "pip", "install", "--python", path, "pytz==2024.1")
    return Installed(path, ("pytz.tzinfo",), path / "bin/python", room.user)


def _direct(room: Room, release: str) -> Installed:
    """Packages from everywhere: URL, git, folders, a source distribution."""
    for name in ("edited", "sourced"):
        text = f'[project]\nname = "{name}"\nversion = "1"\ndescription = "x"\n'
        room.write(f"{name}/pyproject.toml", _BUILD + text)
        room.write(f"{name}/{name}.py", "")
    wheel = next(path.name for path in room.index.folder.glob("pytz-2023.3-*.whl"))
    url = f"{room.index.url.removesuffix('/simple/')}/{wheel}"
    modules = ["pytz.tzinfo", "edited", "sourced", "docopt"]
    words: list[Name] = [f"pytz @ {url}", "-e", room.home / "edited", room.home / "sourced"]
    repository = git_project(room.home / "gitted")
    if repository is not None:
        subprocess.run(["chown", "-R", f"{room.user.uid}:{room.user.gid}", repository], check=True)
        words.append(f"gitted @ git+file://{repository}")
        modules.append("gitted")
    path = room.venv(release, "direct", "docopt==0.6.2", *words)
    return Installed(path, tuple(modules), path / "bin/python", room.user)


def _local_wheels(room: Room, release: str) -> Installed:
    """A wheel given as a file, and one from a folder of wheels."""
    for wheel in (*room.index.folder.glob("idna-3.7-*"), *room.index.folder.glob("cowsay-6.0-*")):
        shutil.copy(wheel, room.home)
        room.give(room.home / wheel.name)
    path = room.venv(release, "local-wheels", next(room.home.glob("idna-3.7-*.whl")))
    found = ("--no-index", "--find-links", room.home, "cowsay==6.0")
    room.uv(release, "pip", "install", "--python", path, *found)
    return Installed(path, ("idna.core", "cowsay.main"), path / "bin/python", room.user)


def _project(room: Room, release: str) -> Installed:
    """A project with an extra, a group, without dev, and a package installed by hand."""
    room.write("project/pyproject.toml", _BUILD + _PROJECT)
    room.write("project/proj.py", "")
    folder = room.home / "project"
    room.uv(release, "sync", "--extra", "zone", "--group", "docs", "--no-dev", cwd=folder)
    path = folder / ".venv"
    room.uv(release, "pip", "install", "--python", path, "tzdata==2025.2", cwd=folder)
    modules = ("six.moves", "pytz.tzinfo", "packaging.version", "proj", "tzdata.zoneinfo")
    return Installed(path, modules, path / "bin/python", room.user)


def _tool(room: Room, release: str) -> Installed:
    room.uv(release, "tool", "install", "--with", "six==1.15.0", "cowsay==6.0")
    path = room.home / "tools" / "cowsay"
    return Installed(path, ("cowsay.main", "six.moves"), path / "bin/python", room.user)


def _uvx(room: Room, release: str) -> Installed:
    room.uv(release, "tool", "run", "--from", "cowsay==6.1", "cowsay", "-t", "x")
    archives = (room.cache / "archive-v0").iterdir()
    path = next(path for path in archives if (path / "pyvenv.cfg").exists())
    return Installed(path, ("cowsay.main",), path / "bin/python", room.user)


def _script(room: Room, release: str) -> Installed | None:
    script = room.write("script/script.py", _SCRIPT)
    room.uv(release, "run", "--no-project", script)
    found = list(room.cache.glob("environments-v*/script-*/pyvenv.cfg"))
    if not found:
        # Before 0.5.31 such an environment is one of uvx's kind.
        return None
    path = found[0].parent
    return Installed(path, ("six.moves",), path / "bin/python", room.user)


def _target(room: Room, release: str) -> Installed:
    path = room.home / "target"
    room.uv(release, "pip", "install", "--target", path, "--python", room.python, "pytz==2024.1")
    return Installed(path, ("pytz.tzinfo",), Path(room.python), room.user, path)


def _prefix(room: Room, release: str) -> Installed:
    path = room.home / "prefix"
    room.uv(release, "pip", "install", "--prefix", path, "--python", room.python, "pytz==2024.1")
    site = path / f"lib/python{VERSION}/site-packages"
    return Installed(path, ("pytz.tzinfo",), Path(room.python), room.user, site)


def _without_interpreter(room: Room, release: str) -> Installed:
    path = room.venv(release, "without-interpreter", "pytz==2024.1")
    for link in path.glob("bin/python*"):
        link.unlink()
    (path / "bin/python").symlink_to(f"/nonexistent/python{VERSION}")
    room.give(path / "bin/python")
    return Installed(path, ("pytz.tzinfo",), path / "bin/python", room.user)


Maker = Callable[[Room, str], Installed | None]

KINDS: dict[str, Maker] = {
    "venv": _venv,
    "made-by-python": _made_by_python,
    "direct": _direct,
    "local-wheels": _local_wheels,
    "project": _project,
    "tool": _tool,
    "uvx": _uvx,
    "script": _script,
    "target": _target,
    "prefix": _prefix,
    "without-interpreter": _without_interpreter,
}


def make_all(room: Room, release: str, kinds: Sequence[str] = tuple(KINDS)) -> dict[str, Installed]:
    """Make an environment of every kind that a release knows."""
    made = {kind: KINDS[kind](room, release) for kind in kinds}
    return {kind: one for kind, one in made.items() if one is not None}


def policy_text(made: dict[str, Installed]) -> str:
    """Return the part of a policy that makes these environments known."""
    lines = "".join(f"    - {str(one.path)!r}\n" for one in made.values())
    return f"venvs:\n  include:\n{lines}".replace("'", '"')
