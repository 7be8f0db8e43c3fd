"""Six people with four uv releases, who do everything that people do with uv.

Each act is one short method; its uv is a real release, run as that user. What a
command leaves for longer is an ``Environment`` that the oracle looks at from then on.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from tests.soak.adversity import FULL, another_clock
from tests.soak.oracle import Oracle
from tests.soak.site import RELEASES, Environment, Site, is_whole
from tests.support.projects import project_in
from tests.support.running_uv import binary_for, python_for, uv_environment
from tests.support.users import User, me

#: Requirements and what they are imported as.
PACKAGES = {
    "six==1.15.0": "six",
    "six==1.16.0": "six",
    "six==1.17.0": "six",
    "idna==3.7": "idna",
    "idna==3.10": "idna",
    "pytz==2023.3": "pytz",
    "pytz==2024.1": "pytz",
    "pytz==2025.2": "pytz",
    "tzdata==2025.2": "tzdata",
    "cowsay==6.0": "cowsay",
    "cowsay==6.1": "cowsay",
    "packaging==25.0": "packaging",
    "pluggy==1.6.0": "pluggy",
}
#: Built from source, by one person alone: what an archive of sources unpacks has no rights
#: for the group, whoever shares the cache, so that others' builds of it fail in uv itself.
SOURCES = {"idna==3.6": "idna", "docopt==0.6.2": "docopt"}
LINK_MODES = ("symlink", "symlink", "symlink", "hardlink", "clone", "copy")

_MOST = 5
_COMMAND_SECONDS = 180
# What is unseen never has roots, unless it is on trial: waiting longer changes nothing.
_ROOTED_SECONDS = 12.0
_SCRIPT = '# /// script\n# requires-python = ">=3.9"\n# dependencies = ["{}"]\n# ///\n'
_LATE = "import time; time.sleep({}); import {}"


@dataclass
class Person:
    """One of them; ``work`` is a thread's."""

    site: Site
    oracle: Oracle
    user: User

    def __post_init__(self) -> None:
        builds = self.user == self.site.shared.users[0]
        self.packages = {**PACKAGES, **SOURCES} if builds else PACKAGES
        self.chance = self.site.chance(self.user.name)
        self.number = 0

    def work(self) -> None:
        """Act until the soak is over."""
        acts = (
            (self.make_project, 5),
            (self.make_unseen_project, 2),
            (self.make_target, 1),
            (self.upgrade, 3),
            (self.install_more, 2),
            (self.move, 2),
            (self.remove, 3),
            (self.install_tool, 2),
            (self.run_tool, 3),
            (self.run_script, 2),
            (self.run_with, 2),
            (self.prune_cache, 1),
            (self.clean_package, 1),
        )
        names, weights = zip(*acts, strict=True)
        while not self.site.stopping.is_set():
            act = self.chance.choices(names, weights)[0]
            begun = time.monotonic()
            try:
                act()
            except subprocess.SubprocessError as error:
                if not self._excused(_words(error), begun):
                    self.site.fail(f"{self.user.name}: {_words(error)}")
            except OSError as error:
                if error.errno not in FULL or not self.site.was_full_since(begun):
                    raise
            self.site.count("acts of people")
            self.site.stopping.wait(self.chance.random() * 4.0)

    def _excused(self, words: str, begun: float) -> bool:
        """Whether uv failed for the disk alone, as it does without us."""
        # uv breaks its lines anywhere.
        said = " ".join(words.split())
        if not self.site.was_full_since(begun) or not any(one in said for one in FULL.values()):
            return False
        self.site.count("uv commands that a full disk failed")
        return True

    # Environments

    def make_project(self) -> None:
        """Make a project at home; the least wanted goes when there are many."""
        if len(self._mine()) >= _MOST:
            self.remove()
        self._project(self.site.shared.home(self.user), known=True)

    def make_unseen_project(self) -> None:
        """Make one where no source looks."""
        if len(self._mine()) < _MOST + 2:
            self._project(self.site.attic(self.user), known=False)

    def _project(self, folder: Path, *, known: bool) -> None:
        wanted = self._some_packages()
        project = self._folder(folder / self._name("project"))
        self._write_project(project, wanted)
        self._uv(self._release(), "sync", "--quiet", cwd=project)
        self._add(project / ".venv", wanted, known=known)

    def make_target(self) -> None:
        """Install with --target, and register the folder or not."""
        wanted = self._some_packages()
        target = self.site.shared.home(self.user) / self._name("target")
        options = ("--target", target, "--python", python_for(self.user))
        self._uv(self._release(), "pip", "install", "--quiet", *options, *wanted)
        known = self.chance.random() < 0.5
        if known:
            link = self.site.registry / f"{self.user.name}-{target.name}"
            link.symlink_to(target)
            os.chown(link, self.user.uid, self.user.gid, follow_symlinks=False)
        modules = tuple(self.packages[one] for one in wanted)
        python = Path(python_for(self.user))
        self.site.add(Environment(target, self.user, modules, python, known))

    def upgrade(self) -> None:
        """Change what a project requires, with any release."""
        environment = self._one(of=".venv")
        if environment is None:
            return
        with environment.changes:
            if environment.is_gone:
                return
            wanted = self._some_packages()
            project = environment.path.parent
            self._write_project(project, wanted)
            (project / "uv.lock").unlink(missing_ok=True)
            self._uv(self._release(), "sync", "--quiet", cwd=project)
            environment.modules = tuple(self.packages[one] for one in wanted)

    def install_more(self) -> None:
        """Install into what is there, or make it anew in place."""
        environment = self._one(of=".venv")
        if environment is None:
            return
        with environment.changes:
            if environment.is_gone:
                return
            package = self.chance.choice(tuple(self.packages))
            again = ("--reinstall",) if self.chance.random() < 0.3 else ()
            options = ("--quiet", "--python", environment.path / "bin" / "python", *again)
            self._uv(self._release(), "pip", "install", *options, package)
            environment.modules = tuple({*environment.modules, self.packages[package]})

    def move(self) -> None:
        """Move a project elsewhere, also to where no source looks, and back."""
        environment = self._one(of=".venv")
        if environment is None:
            return
        with environment.changes:
            if environment.is_gone:
                return
            known = self.chance.random() < 0.6
            home = self.site.shared.home(self.user) if known else self.site.attic(self.user)
            moved = home / self._name("moved")
            environment.path.parent.rename(moved)
            environment.path = moved / ".venv"
            environment.python = environment.path / "bin" / "python"
            environment.known = known

    def remove(self) -> None:
        """Delete an environment, as people do with rm -rf."""
        environment = self._one()
        if environment is None:
            return
        with environment.changes:
            environment.is_gone = True
            project = environment.path.name == ".venv"
            shutil.rmtree(environment.path.parent if project else environment.path)

    def install_tool(self) -> None:
        """Install a tool, upgrade or remove it."""
        version = self.chance.choice(("6.0", "6.1"))
        path = self.site.shared.home(self.user) / ".local" / "share" / "uv" / "tools" / "cowsay"
        known = [one for one in self._mine() if one.path == path]
        if known and self.chance.random() < 0.4:
            with known[0].changes:
                known[0].is_gone = True
                shutil.rmtree(path)
            return
        with known[0].changes if known else nullcontext():
            options = ("--quiet", "--force", "--python", python_for(self.user))
            self._uv(self._release(), "tool", "install", *options, f"cowsay=={version}")
            if not known or known[0].is_gone:
                self._add(path, (f"cowsay=={version}",), known=True)

    # What runs and is over

    def run_tool(self) -> None:
        """Run a tool for some seconds, as `uvx` does; it imports late."""
        package = self.chance.choice(tuple(self.packages))
        late = _LATE.format(round(self.chance.random() * 6.0, 1), self.packages[package])
        options = ("--quiet", "--python", python_for(self.user), "--from", package)
        self._uv(self._release(), "tool", "run", *options, "python", "-c", late)

    def run_script(self) -> None:
        """Run a script that names what it requires."""
        package = self.chance.choice(tuple(self.packages))
        script = self.site.shared.home(self.user) / f"{self.packages[package]}_script.py"
        late = _LATE.format(round(self.chance.random() * 3.0, 1), self.packages[package])
        script.write_text(_SCRIPT.format(package) + late + "\n")
        self._uv(self._release(), "run", "--quiet", "--no-project", script)

    def run_with(self) -> None:
        """Run in a project with one package more (an overlay)."""
        environment = self._one(of=".venv")
        if environment is None:
            return
        with environment.changes:
            if environment.is_gone:
                return
            package = self.chance.choice(("packaging==25.0", "pluggy==1.6.0", "tzdata==2025.2"))
            late = _LATE.format(round(self.chance.random() * 3.0, 1), self.packages[package])
            options = ("--quiet", "--no-sync", "--with", package)
            project = environment.path.parent
            self._uv(self._release(), "run", *options, "python", "-B", "-c", late, cwd=project)

    # Their own prunes

    def prune_cache(self) -> None:
        """Prune the cache with any release, as the host's root.

        Plain users' prunes fail in uv itself, at what an archive of sources unpacked.
        """
        release = self.chance.choice(tuple(RELEASES))
        options = ("--ci",) if self.chance.random() < 0.2 else ()
        self._unmake(release, me(), "prune", *options)

    def clean_package(self) -> None:
        """Clean one package out with any release."""
        release = self.chance.choice(tuple(RELEASES))
        name = self.chance.choice(tuple(self.packages)).partition("==")[0]
        self._unmake(release, me(), "clean", name)

    def _unmake(self, release: str, user: User, *words: str) -> None:
        with self.site.alone(), self.oracle.own_prunes:
            begun = time.monotonic()
            used = self._used()
            rooted = self._wait_for_roots(used)
            done = self._run(release, user, "cache", *words)
            self.site.count("own prunes and cleans of users")
            self.oracle.unprotected.update(one for one in used - rooted if not self._there(one))
            if done.returncode and not self._excused(done.stderr, begun):
                self.site.fail(f"uv {release} cache {' '.join(words)}: {done.stderr[-400:]}")

    def _wait_for_roots(self, used: set[str]) -> set[str]:
        """Give the guard its time after the last installs; return what has roots then."""
        deadline = time.monotonic() + _ROOTED_SECONDS
        while used - (rooted := self.site.rooted()) and time.monotonic() < deadline:
            if self.site.stopping.wait(0.2):
                break
        return rooted

    def _used(self) -> set[str]:
        found: set[str] = set()
        for environment in self.site.environments():
            # Without its lock: who changes it waits for our turn to end.
            try:
                found |= environment.archives()
            except OSError:
                continue
        return found

    def _there(self, archive: str) -> bool:
        return is_whole(self.site.shared.path / "archive-v0" / archive)

    # What acts are made of

    def _mine(self) -> list[Environment]:
        return [one for one in self.site.environments() if one.owner == self.user]

    def _one(self, of: str = "") -> Environment | None:
        found = [one for one in self._mine() if one.path.name == of or not of]
        return self.chance.choice(found) if found else None

    def _name(self, kind: str) -> str:
        self.number += 1
        return f"{kind}{self.number}"

    def _release(self) -> str:
        return self.chance.choices(tuple(RELEASES), tuple(RELEASES.values()))[0]

    def _some_packages(self) -> tuple[str, ...]:
        chosen: dict[str, str] = {}
        for package in self.chance.sample(tuple(self.packages), self.chance.randint(1, 4)):
            chosen.setdefault(self.packages[package], package)
        return tuple(chosen.values())

    def _add(self, path: Path, wanted: tuple[str, ...], *, known: bool) -> None:
        modules = tuple(self.packages[one] for one in wanted)
        self.site.add(Environment(path, self.user, modules, path / "bin" / "python", known))

    def _folder(self, path: Path) -> Path:
        path.mkdir()
        os.chown(path, self.user.uid, self.user.gid)
        return path

    def _write_project(self, project: Path, wanted: tuple[str, ...]) -> None:
        project_in(project, *wanted)
        os.chown(project / "pyproject.toml", self.user.uid, self.user.gid)

    def _uv(self, release: str, *arguments: object, cwd: Path | None = None) -> None:
        begun = time.monotonic()
        with self.site.at_work():
            done = self._run(release, self.user, *arguments, cwd=cwd)
        self.site.count("uv commands")
        if done.returncode and self.site.was_full_since(begun):
            # What uv left half is uv's own; who holds its lock is us.
            for environment in self._mine():
                if environment.changes.acquire(blocking=False):
                    try:
                        environment.is_gone |= not self.oracle.is_whole(environment)
                    finally:
                        environment.changes.release()
        done.check_returncode()

    def _run(
        self, release: str, user: User, *arguments: object, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        home = self.site.shared.home(self.user)
        variables = uv_environment(
            cache=self.site.shared.path,
            home=home,
            index=self.site.shared.index,
            link_mode=self.chance.choice(LINK_MODES),
            user=user,
        )
        return subprocess.run(
            [binary_for(release, user), *map(str, arguments)],
            env=variables
            | another_clock(self.site, self.chance)
            | {"UV_PYTHON": python_for(self.user), "UV_HTTP_TIMEOUT": "120"},
            cwd=cwd or home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
            **user.process_arguments(),
        )


def _words(error: subprocess.SubprocessError) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        release = Path(error.cmd[0]).parts[-3:]
        return f"{'/'.join(release)} {' '.join(map(str, error.cmd[1:]))}: {error.stderr[-600:]}"
    return str(error)
