"""The end of a soak: half of what users had goes, and then everything unused must be gone.

What nobody uses any more is known to the oracle alone: it is all that the cache
holds, without the archives that an environment still links to.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.administrators import DONE, PARTIAL, Administrators
from tests.soak.oracle import Oracle
from tests.soak.site import Site, size_of
from tests.support.running_uv import run_uv
from tests.support.users import me
from tests.support.uv_releases import NEWEST

#: Of what nobody uses, so much must be gone.
LEAST_SHARE = 0.9

_MOST_SECONDS = 600.0
_DAY_NS = 86_400 * 10**9


@dataclass
class Ending:
    """What was there to reclaim, and what was."""

    site: Site
    administrators: Administrators
    oracle: Oracle
    before: int = 0
    used: int = 0
    after: int = 0
    leftovers: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Reclaimed, of what the oracle knows to be unused."""
        unused = self.before - self.used
        return (self.before - self.after) / unused if unused else 1.0

    def run(self) -> None:
        """Let half of the environments go, and prune until nothing unused is left."""
        for environment in self.site.environments()[::2]:
            environment.is_gone = True
            project = environment.path.name == ".venv"
            shutil.rmtree(environment.path.parent if project else environment.path)
        self._let_days_pass()
        self._measure_before()
        self.administrators.policy = self.site.write_policy(
            budget="{max_size: 1KiB}", trial="{for: 10s, at_least: 1s}", builds="1s", active="20s"
        )
        deadline = time.monotonic() + _MOST_SECONDS
        while time.monotonic() < deadline:
            for environment in self.site.environments():
                self.oracle.look(environment)
            self.administrators.prune(codes=(DONE, PARTIAL))
            self.administrators._ask("runs", "purge", "--all", codes=(DONE,))
            self.after = self._size()
            if self.share >= LEAST_SHARE and not self._on_trial():
                break
            # The trials of this policy take ten seconds of real time.
            time.sleep(3.0)
        for environment in self.site.environments():
            self.oracle.look(environment)

    def look_for_leftovers(self) -> None:
        """Take protection away; nothing of ours may be left in the cache, or running."""
        self.administrators._ask("protect", "--remove", codes=(DONE,))
        cache = self.site.shared.path
        # What came back may be known by its path on trial: a link leads on from there, with roots.
        if not self._on_trial() and not self._on_trial(back=True):
            names = [one for one in cache.rglob("cacheadmin*") if not _is_history(one)]
            self.leftovers += [f"in the cache: {path.relative_to(cache)}" for path in names]
        for entries in Path(f"{cache}.cacheadmin").glob("quarantine/*/entries"):
            held = [path for path in entries.rglob("*") if not path.is_dir()]
            self.leftovers += [f"in quarantine: {path}" for path in held]
        self.leftovers += [f"running: {words}" for words in self._processes()]
        done = run_uv(
            NEWEST,
            *("cache", "prune"),
            cache=cache,
            home=self.site.shared.homes,
            user=me(),
            check=False,
            extra_environment={"UV_LOCK_TIMEOUT": "20"},
        )
        if done.returncode:
            self.leftovers.append(f"uv cache prune fails at last: {done.stderr[-300:]}")

    def _let_days_pass(self) -> None:
        """Set the times of archives back, each by other days: nothing came in the same minutes."""
        archives = self.site.shared.path / "archive-v0"
        now, number = time.time_ns(), 0
        for folder in (archives, archives / "cacheadmin.trial"):
            for name in os.listdir(folder) if folder.is_dir() else ():
                number += 1
                then = now - number * _DAY_NS
                if not (folder / name).is_symlink() and not name.startswith("cacheadmin"):
                    os.utime(folder / name, ns=(then, then))

    def _measure_before(self) -> None:
        self.before = self._size()
        names: set[str] = set()
        for environment in self.site.environments():
            names |= environment.archives()
        archives = self.site.shared.path / "archive-v0"
        self.used = sum(size_of((archives / name).resolve()) for name in names)

    def _size(self) -> int:
        cache = self.site.shared.path
        return size_of(cache) + size_of(Path(f"{cache}.cacheadmin"))

    def _on_trial(self, *, back: bool = False) -> list[str]:
        """Return what is on trial; or what has come ``back``, and left a link there."""
        place = self.site.shared.path / "archive-v0" / "cacheadmin.trial"
        try:
            names = [name for name in os.listdir(place) if not name.startswith(".")]
        except FileNotFoundError:
            return []
        return [name for name in names if (place / name).is_symlink() == back]

    def _processes(self) -> list[str]:
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            text = " ".join(word.decode(errors="replace") for word in words)
            if f"{self.site.folder}/" in text and "cacheadmin" in text:
                found.append(text)
        return found


def _is_history(path: Path) -> bool:
    """Whether it is our folder with nothing but what came back from trial in the past."""
    names = {".cacheadmin", ".ledger.json"}
    return path.name == "cacheadmin.trial" and set(os.listdir(path)) == names
