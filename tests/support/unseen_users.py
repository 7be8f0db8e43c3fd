"""Two sites on which a prune knows only that it saw nobody, and what it should do there.

    site = unseen_project(folder, index)     # somebody uses it, and no source can know
    site.imports()

    site = abandoned(folder, index)          # nobody uses it, and no source can know that
    site.freed_share()                       # 1.0: as much as if who left had never been there

The oracle is outside the product. Of the first: what Python imports. Of the
second: the size of the cache before those came who have left since.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.packages import Index
from tests.support.projects import project_in, sync
from tests.support.shared_cache import SharedCache, age, links_of
from tests.support.uv_releases import NEWEST

OLD = "0.5.10"
SCRIPTS_RELEASE = "0.8.5"
DAYS_AGO = 60

#: For policies of both sites: idle environments go, whoever was the last to call them.
IDLE = "prune: {environments: {idle: 7d, keep_latest: false}}\n"


@dataclass
class UnseenProject:
    """A project in a folder that no policy names, made by one `uv sync` two months ago."""

    shared: SharedCache
    environment: Path

    def imports(self) -> bool:
        """Whether its program runs: a use, as by its owner."""
        program = "import six, cowsay; print(six.__version__, cowsay.__version__)"
        command = [self.environment / "bin" / "python", "-B", "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout == "1.16.0 6.0\n"

    def archives(self) -> set[str]:
        """Return the entries that it links to."""
        found = {
            text.partition("/archive-v0/")[2].partition("/")[0]
            for text in links_of(self.environment).values()
        }
        return {f"archive-v0/{name}" for name in found if name}

    def whole(self) -> set[str]:
        """Return which of them are at their place, asked without following a link."""
        return {name for name in self.archives() if _is_folder(self.shared.path / name)}


def unseen_project(folder: Path, index: Index) -> UnseenProject:
    """Build it, and one environment of the newest release that everybody knows."""
    folder.mkdir(exist_ok=True)
    shared = SharedCache.create(folder, index)
    project = project_in(folder / "attic" / "report", "six==1.16.0", "cowsay==6.0")
    environment = sync(shared, project, OLD)
    age(shared.path, DAYS_AGO)
    shared.environment("known", NEWEST, "idna==3.7")
    return UnseenProject(shared, environment)


@dataclass
class AbandonedSite:
    """A cache with one user who is there, and leftovers of others who have left."""

    shared: SharedCache
    bytes_without: int
    """Size of the cache before those came who have left: nobody could remove more."""

    bytes_before: int
    """Size of the cache with all that they left."""

    def freed_share(self) -> float:
        """Return what is gone by now, as a share of what all-knowing eyes could remove."""
        freed = self.bytes_before - self._bytes_now()
        return freed / (self.bytes_before - self.bytes_without)

    def _bytes_now(self) -> int:
        # What was only moved aside is not gone.
        beside = self.shared.path.with_name(f"{self.shared.path.name}.cacheadmin")
        return bytes_in(self.shared.path) + bytes_in(beside)


def abandoned(folder: Path, index: Index, *packages: str) -> AbandonedSite:
    """Build it: two releases' environments, a tool and a script, of people who left."""
    folder.mkdir(exist_ok=True)
    shared = SharedCache.create(folder, index)
    shared.environment("known", NEWEST, "idna==3.7", "six==1.17.0")
    shared.uv(NEWEST, "tool", "run", "cowsay@6.0", "-t", "moo")
    without, known = bytes_in(shared.path), _names(shared.path)

    left = [
        shared.environment("left", OLD, *packages, "docopt==0.6.2"),
        shared.environment("left-later", SCRIPTS_RELEASE, *packages),
    ]
    shared.uv(SCRIPTS_RELEASE, "tool", "run", "cowsay@6.1", "-t", "moo")
    script = shared.home() / "monthly.py"
    script.write_text('# /// script\n# dependencies = ["pytz==2023.3"]\n# ///\nimport pytz\n')
    shared.uv(SCRIPTS_RELEASE, "run", "--no-project", script)
    for path in (*left, script):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shared.environments = [one for one in shared.environments if one not in left]
    _age_all_but(known, shared.path)
    return AbandonedSite(shared, without, bytes_in(shared.path))


def bytes_in(folder: Path) -> int:
    """Return what the files below a folder occupy, each counted once."""
    seen: dict[tuple[int, int], int] = {}
    for where, folders, files in os.walk(folder):
        for name in (*folders, *files):
            status = os.lstat(os.path.join(where, name))
            seen[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(seen.values())


def _names(folder: Path) -> set[str]:
    return {
        os.path.join(where, name)
        for where, folders, files in os.walk(folder)
        for name in (*folders, *files)
    }


def _age_all_but(known: set[str], folder: Path) -> None:
    for path in _names(folder) - known:
        changed = os.lstat(path).st_mtime_ns - DAYS_AGO * 86_400 * 10**9
        os.utime(path, ns=(changed, changed), follow_symlinks=False)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False
