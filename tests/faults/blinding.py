"""What can't be read keeps what it could use: each place of a site fails, one after the other.

A site with environments of every sort, all of which the policy's sources find and
whom the site vouches for (``venvs.complete``): what is not seen is removed, without a
trial. Then one place, a file, folder or link, fails in every call of one prune, its
readers' calls too, as a bad disk, closed rights, or a stale server would have it. No
environment may lose anything.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from cacheadmin.cli.app import run
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import age
from tests.support.sites import Site, Wish, build_site
from tests.support.supervised import Call, Done, supervised

ERRORS = (errno.EIO, errno.EACCES, errno.ESTALE)

#: One environment of each sort and place, each with a wheel of its own; one wheel is unused.
_SORTS = (
    ("venv", "nothing", "tree"),
    ("tool", "nothing", "tree"),
    ("venv", "trimmed", "redirect"),
    ("target", "edited", "pattern"),
    ("prefix", "nothing", "named"),
    ("python", "packages elsewhere", "named"),
    ("debian", "linked by hand", "registry"),
    ("venv", "path file", "registry"),
    ("venv", "path file to a folder", "tree"),
    ("venv", "lib elsewhere", "pattern"),
    ("venv", "site elsewhere", "tree"),
    ("venv", "nothing", "below cache"),
)
_DAYS_AGO = 40
_CHANGING = frozenset(
    {"rename", "renameat", "renameat2", "mkdir", "mkdirat", "symlinkat", "unlinkat", "rmdir"}
)


@dataclass
class Blind:
    """One prune with one place that fails."""

    place: str
    fault: str
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.fault} at {self.place}: {'; '.join(self.wrong)}"


class Blinding:
    """The site, made again for each prune."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def places(self) -> list[str]:
        """Return every place of the site that a prune looks at, relative to the folder."""
        site, policy = self._build()
        done = self._prune(site, policy, "", 0)
        assert done.code == 0, done.stderr
        assert site.broken() == {}
        begin = f"{self.folder}/site/"
        found = {path for call in done.calls for path in call.paths if path.startswith(begin)}
        return sorted(
            path.removeprefix(begin)
            for path in found
            if path.removeprefix(begin).partition("/")[0] not in ("cacheadmin", "cache.cacheadmin")
        )

    def try_all(self, *, sample: int = 1, first: int = 0, every: bool = False) -> Iterator[Blind]:
        """Yield what came of each ``sample``-th place, with one error, or ``every`` one."""
        turns = cycle(ERRORS)
        for place in self.places()[first % sample :: sample]:
            for error in ERRORS if every else (next(turns),):
                yield self.attempt(place, error)

    def attempt(self, place: str, error: int) -> Blind:
        """Let one place fail in every call of a prune; return what that did."""
        site, policy = self._build()
        blind = Blind(place, errno.errorcode[error])
        done = self._prune(site, policy, place, error)
        broken = site.broken()
        if broken:
            first, links = next(iter(broken.items()))
            blind.wrong.append(f"{len(links)} links of {first} lead nowhere, as {links[0]}")
        if any(word in done.stderr for word in ("unexpected", "Traceback")):
            blind.wrong.append(done.stderr.strip()[-500:])
        return blind

    def _build(self) -> tuple[Site, str]:
        folder = self.folder / "site"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        folder.chmod(0o755)
        wishes = [Wish(*sort, frozenset([number])) for number, sort in enumerate(_SORTS)]
        site = build_site(folder, len(_SORTS) + 1, wishes)
        age(folder, _DAYS_AGO)
        runner = Cacheadmin(folder / "cacheadmin")
        runner.folder.mkdir()
        text = f"venvs:\n  complete: true\n{site.policy_lines}hosts: {{only: this}}\n"
        return site, str(runner.policy(site.cache, text, complete=False))

    def _prune(self, site: Site, policy: str, place: str, error: int) -> Done:
        failing = f"{site.folder}/{place}"

        def decide(call: Call) -> int | None:
            if not place or call.name in _CHANGING or failing not in call.paths:
                return None
            return error

        return supervised(
            lambda: run(["-q", "prune", policy]), [site.folder], decide, children=True
        )
