"""Hosts that share a cache, as namespaces of one machine: names and mounts of their own.

    hosts = Hosts(folder, index)
    a, b = hosts.host("a"), hosts.host("b")
    b.environment("proj", NEWEST, "six==1.16.0")     # on b's own disk
    b.cacheadmin("observe", b.policy(), code=0)
    a.cacheadmin("prune", a.policy("..."), code=0)

Each mounts the shared folder, with the cache in it, at another path, and has a
disk of its own, which all of them mount at the same path. No host sees the
disk of another. They share a process table: in one of its own a host could not
tell itself from a container.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.cacheadmin_cli import Cacheadmin, Result
from tests.support.packages import Index
from tests.support.running_uv import binary_for, python_for, uv_environment

_INSIDE = """
set -e
hostname "$0"
mount --bind "$1" "$2"
mount -o "remount,bind,$6" "$2"
mount --bind "$3" "$4"
mount -t tmpfs tmpfs "$5"
test -z "$7" || mount --bind "$7" /etc/machine-id
shift 7
exec "$@"
"""
_SPACES = ("--mount", "--uts", "--propagation", "private")


class Hosts:
    """A site: one shared folder, and as many hosts as a test asks for."""

    def __init__(self, folder: Path, index: Index) -> None:
        self.folder = folder
        self.index = index
        self.shared = folder / "export"
        self.own = folder / "own"
        self.disks = folder / "disks"
        for path in (self.shared, self.own, self.disks, self.shared / "cache"):
            path.mkdir()

    def host(self, name: str, options: str = "rw", machine: str = "") -> Host:
        """Return a host of that name, with an empty disk; ``options``: how it mounts the share.

        ``machine`` is its machine id; without one it has that of the machine it runs on.
        """
        place = f"{name}-{machine}" if machine else name
        mounted = self.folder / f"mounted-on-{place}"
        disk = self.disks / place
        for path in (mounted, disk, disk / "home"):
            path.mkdir()
        runner = Cacheadmin(self.folder / f"cacheadmin-{place}")
        runner.folder.mkdir()
        if machine:
            (runner.folder / "machine-id").write_text(f"{machine}\n")
        return Host(self, name, mounted, disk, runner, options)


@dataclass
class Host:
    """One host; paths are those that it sees itself, but for ``disk``."""

    site: Hosts
    name: str
    mounted: Path
    disk: Path
    runner: Cacheadmin
    options: str = "rw"

    @property
    def cache(self) -> Path:
        """Where this host sees the cache."""
        return self.mounted / "cache"

    def command(self, *words: str | os.PathLike[str]) -> list[str]:
        """Return the command line that runs a command on this host."""
        site = self.site
        places = (site.shared, self.mounted, self.disk, site.own, site.disks, self.options)
        machine = self.runner.folder / "machine-id"
        inside = ["sh", "-c", _INSIDE, self.name, *map(str, places)]
        inside.append(str(machine) if machine.exists() else "")
        return ["unshare", *_SPACES, *inside, *map(os.fspath, words)]

    def run(
        self,
        *words: str | os.PathLike[str],
        environment: Mapping[str, str],
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on this host, to its end."""
        there = ["env", "-C", str(cwd or self.site.own / "home"), *map(os.fspath, words)]
        return subprocess.run(
            self.command(*there), env=environment, capture_output=True, text=True, check=False
        )

    def uv(self, release: str, *words: str | os.PathLike[str]) -> None:
        """Run a uv command on this host; it must succeed."""
        done = self.run(binary_for(release), *words, environment=self.uv_environment())
        assert done.returncode == 0, done.stderr

    def uv_environment(self) -> dict[str, str]:
        """Return the environment variables of uv on this host."""
        return uv_environment(
            cache=self.cache,
            home=self.site.own / "home",
            index=self.site.index,
            link_mode="symlink",
        )

    def environment(self, name: str, release: str, *requirements: str) -> Path:
        """Create an environment on this host's own disk; return its path there."""
        path = self.site.own / name
        self.uv(release, "venv", "--quiet", "--python", python_for(None), path)
        python = path / "bin" / "python"
        self.uv(release, "pip", "install", "--quiet", "--python", python, *requirements)
        return path

    def imports(self, environment: Path, modules: str) -> bool:
        """Whether a program of that environment runs on this host."""
        words = (environment / "bin" / "python", "-B", "-c", f"import {modules}")
        return self.run(*words, environment={"PATH": os.environ["PATH"]}).returncode == 0

    def dangling(self, environment: Path) -> list[str]:
        """Return the links of an environment that lead nowhere on this host."""
        words = ("find", environment, "-xtype", "l")
        return self.run(*words, environment=dict(os.environ)).stdout.splitlines()

    def policy(self, text: str = "", *, complete: bool = True) -> Path:
        """Write this host's policy for the cache."""
        named = f"venvs: {{discover: [{{root: '{self.site.own}'}}]"
        word = ", complete: true" if complete else ""
        return self.runner.policy(self.cache, f"{named}{word}}}\n{text}", complete=False)

    def start(self, *words: str | os.PathLike[str]) -> subprocess.Popen[bytes]:
        """Start cacheadmin on this host and return at once; its output is dropped."""
        there = ["env", "-C", str(self.site.own / "home"), *self.runner.command(*words)]
        return subprocess.Popen(
            self.command(*there),
            env=self.runner.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def cacheadmin(self, *words: str | os.PathLike[str], code: int | None = None) -> Result:
        """Run cacheadmin on this host; with ``code`` assert that exit code."""
        done = self.run(*self.runner.command(*words), environment=self.runner.environment())
        result = Result(done.returncode, done.stdout, done.stderr)
        assert code in (None, result.code), result
        return result
