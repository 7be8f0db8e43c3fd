"""Real shared caches, and what tests ask about them and their environments.

    shared = SharedCache.create(open_folder, index, users=[ana, ben])
    env = shared.environment("proj", "0.5.10", "six==1.16.0", user=ana)
    dangling_links(env)                     # {} when all is well
    before = tree_snapshot(shared.path)     # compare with == later
    copy = copy_of(shared.path)             # cp -a beside it
    with copy_in_place_of(shared.path): ... # real uv may ruin it, then all is undone

A shared cache is what facts section 11 says works: setgid, one group, umask
002. Each user has a home folder, environments live in ``HOME/NAME``.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.packages import Index
from tests.support.running_uv import Name, create_environment, run_uv
from tests.support.users import User, me


@dataclass
class SharedCache:
    """A cache that several users share, and the folders of these users."""

    path: Path
    homes: Path
    index: Index
    users: tuple[User, ...]
    environments: list[Path] = field(default_factory=list)

    @classmethod
    def create(cls, folder: Path, index: Index, users: Sequence[User] = ()) -> SharedCache:
        """Lay out an empty cache ``folder/cache`` and homes ``folder/homes``.

        ``users`` defaults to the one who runs the tests.
        """
        users = tuple(users) or (me(),)
        shared = cls(folder / "cache", folder / "homes", index, users)
        shared.path.mkdir()
        shared.homes.mkdir()
        shared.homes.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(shared.path, 0, users[0].gid)
        shared.path.chmod(0o2775)
        return shared

    def home(self, user: User | None = None) -> Path:
        """Return a user's home folder; the first user's by default."""
        user = user or self.users[0]
        home = self.homes / user.name
        if not home.exists():
            home.mkdir()
            if os.geteuid() == 0:
                os.chown(home, user.uid, user.gid)
            home.chmod(0o755)
        return home

    def environment(
        self,
        name: str,
        version: str,
        *requirements: str,
        user: User | None = None,
        link_mode: str | None = "symlink",
        cache: Name | None = None,
    ) -> Path:
        """Create an environment ``HOME/name`` with a uv release; return its path.

        ``cache`` is another spelling of the cache's path, if the user has one.
        """
        user = user or self.users[0]
        environment = create_environment(
            version,
            self.home(user) / name,
            *requirements,
            cache=cache or self.path,
            home=self.home(user),
            index=self.index,
            link_mode=link_mode,
            user=user,
        )
        self.environments.append(environment)
        return environment

    def uv(
        self,
        version: str,
        *arguments: Name,
        user: User | None = None,
        link_mode: str | None = "symlink",
        cache: Name | None = None,
        cwd: Name | None = None,
        check: bool = True,
        extra_environment: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run any uv command of a user against this cache (or a copy).

        A whole prune of a shared cache takes ``user=me()`` as root: plain users
        fail at folders that a source archive unpacked without group rights.
        """
        user = user or self.users[0]
        return run_uv(
            version,
            *arguments,
            cache=cache or self.path,
            home=self.home(user),
            index=self.index,
            link_mode=link_mode,
            user=user,
            cwd=cwd,
            check=check,
            extra_environment=extra_environment,
        )

    def remove_environment(self, environment: Path) -> None:
        """Delete an environment, as a user does with rm -rf."""
        shutil.rmtree(environment)
        self.environments.remove(environment)


def copy_of(folder: Path, name: str = "") -> Path:
    """Copy a folder with everything ``cp -a`` keeps; return the copy beside it."""
    copy = folder.with_name(name or f"{folder.name}-copy")
    subprocess.run(["cp", "-a", "--", folder, copy], check=True)
    return copy


@contextmanager
def copy_in_place_of(cache: Path) -> Iterator[Path]:
    """Put a copy of a cache in its place for a while; what happens to it is undone.

    Environments link by absolute path, so only a copy at the cache's own path
    shows what a prune does to them. The original comes back untouched.
    """
    original = cache.with_name(f"{cache.name}-original")
    cache.rename(original)
    try:
        subprocess.run(["cp", "-a", "--", original, cache], check=True)
        yield cache
    finally:
        shutil.rmtree(cache, ignore_errors=True)
        original.rename(cache)


def age(folder: Path, days: float) -> None:
    """Set all times in a folder back, as if nobody had written there for so long."""
    then = time.time_ns() - int(days * 86400 * 10**9)
    for path in [os.fspath(folder), *(entry.path for entry in _entries(folder))]:
        os.utime(path, ns=(then, then), follow_symlinks=False)


def links_of(folder: Path) -> dict[str, str]:
    """Return every symlink below a folder with its text, as absolute paths."""
    return {entry.path: os.readlink(entry.path) for entry in _entries(folder) if entry.is_symlink()}


def dangling_links(folder: Path) -> dict[str, str]:
    """Return the symlinks below a folder that resolve to nothing."""
    return {path: text for path, text in links_of(folder).items() if not os.path.exists(path)}


def tree_snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return what a folder consists of, by path relative to it.

    Type, mode, owner, group, inode, size and mtime of files and folders; the
    text of links. Two snapshots are equal exactly when nothing was changed.
    """
    found = {".": _facts(str(folder), os.lstat(folder))}
    for entry in _entries(folder):
        relative = os.path.relpath(entry.path, folder)
        found[relative] = _facts(entry.path, entry.stat(follow_symlinks=False))
    return found


def names_in(folder: Path) -> set[str]:
    """Return the relative paths of everything below a folder."""
    return {os.path.relpath(entry.path, folder) for entry in _entries(folder)}


def _facts(path: str, status: os.stat_result) -> tuple[object, ...]:
    kind = stat.S_IFMT(status.st_mode)
    target = os.readlink(path) if stat.S_ISLNK(status.st_mode) else ""
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    owner = (status.st_uid, status.st_gid)
    return (kind, status.st_mode, owner, status.st_ino, size, status.st_mtime_ns, target)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    folders = [os.fspath(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
