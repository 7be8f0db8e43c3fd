"""A small site with everything that a prune meets, made again in milliseconds.

- an archive that an environment links to, which the policy finds: it stays;
- an archive of an environment that no source knows: it goes on trial, and springs;
- unused archives, a wheel pointer with its archive, a cached environment: they go;
- an abandoned build, which goes to quarantine.

``Kept`` is a copy of a folder in memory. Put back, it has the same times, and the
ledger of trials speaks of the links that are there now.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import age, dangling_links
from tests.support.trial_sites import ENTRY, add_archive, lay_out

KNOWN = "archive-v0/Known_aBcDeFgHiJk"
UNUSED = ("archive-v0/Unused0_abcdefgh", "archive-v0/Unused1_abcdefgh")
POINTED = "archive-v0/Pointed_abcdefgh"
BUILD = "builds-v0/.tmpAbandoned"
ENTRIES = (KNOWN, ENTRY, *UNUSED, BUILD)

_TRIALS = "archive-v0/cacheadmin.trial"
_DAYS_AGO = 60


@dataclass(frozen=True)
class _Thing:
    path: str
    status: os.stat_result
    content: bytes


class Kept:
    """What a folder held at one moment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._things = list(_things(folder))

    def is_there(self) -> bool:
        """Whether the folder holds just that now, but for times."""
        return [(one.path, one.status.st_mode, one.content) for one in _things(self.folder)] == [
            (one.path, one.status.st_mode, one.content) for one in self._things
        ]

    def put_back(self) -> None:
        """Make the folder what it was; its own inode stays, and that of ``cache``."""
        for name in os.listdir(self.folder):
            if name != "cache":
                _remove(self.folder / name)
        for name in os.listdir(self.folder / "cache"):
            _remove(self.folder / "cache" / name)
        for thing in self._things:
            _make(self.folder / thing.path, thing)
        for thing in reversed(self._things):
            times = (thing.status.st_atime_ns, thing.status.st_mtime_ns)
            os.utime(self.folder / thing.path, ns=times, follow_symlinks=False)
        _name_links_anew(self.folder / "cache")


@dataclass
class SmallSite:
    """The site, and how its policy is called."""

    folder: Path
    policy: str

    @property
    def cache(self) -> Path:
        """The cache."""
        return self.folder / "cache"

    @classmethod
    def build(cls, folder: Path) -> SmallSite:
        """Lay it out in an empty folder."""
        lay_out(folder)
        cache = folder / "cache"
        for number, entry in enumerate(UNUSED):
            add_archive(cache, entry, f"p{number}")
        add_archive(cache, KNOWN, "known")
        (cache / BUILD).mkdir(parents=True)
        (cache / BUILD / "half").write_text("built")
        home = folder / "home"
        link = home / "venv" / "lib" / "python3.11" / "site-packages" / "known" / "__init__.py"
        link.parent.mkdir(parents=True)
        (home / "venv" / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.13.9\n")
        link.symlink_to(cache / KNOWN / "known" / "__init__.py")
        age(cache, days=_DAYS_AGO)
        runner = Cacheadmin(folder / "cacheadmin")
        runner.folder.mkdir()
        text = (
            f"venvs: {{discover: [{{root: {home}}}]}}\nhosts: {{only: this}}\n"
            "prune: {builds: {after: 0s}}\nprotect: {ahead: 0}\n"
            "lock: {timeout: 1s, held_at_most: 1m}\n"
        )
        return cls(folder, os.fspath(runner.policy(cache, text, complete=False)))

    def wrong(self, ending: frozenset[str] = frozenset()) -> list[str]:
        """Return what may never be: an entry nowhere or twice, a link that leads nowhere.

        ``ending`` are entries that a command deletes: they may be gone, as a whole.
        """
        found = []
        gone = set()
        for entry in ENTRIES:
            where = self.standing(entry)
            if not where and entry in ending and not os.path.lexists(self.cache / entry):
                gone.add(entry)
            elif len(where) != 1:
                found.append(f"{entry} is in {where or 'no place'}")
        for place in ("env", "home"):
            for link, text in dangling_links(self.folder / place).items():
                if not any(f"/{entry}/" in text for entry in gone):
                    found.append(f"{link} leads nowhere")
        return found

    def standing(self, entry: str) -> list[str]:
        """Return every place where an entry is."""
        place, name = self.cache / entry, entry.rpartition("/")[2]
        tried = self.cache / _TRIALS / name
        quarantined = list(self.folder.glob(f"cache.cacheadmin/quarantine/*/entries/{entry}"))
        found = ["quarantine"] * len(quarantined)
        if place.is_symlink():
            # Whether it leads there: looking through it would spring it.
            link = os.readlink(place)
            found += ["trial"] if link == f"cacheadmin.trial/{name}" and tried.is_dir() else []
        elif os.path.lexists(place):
            found.append("place")
            if tried.is_dir() and not tried.is_symlink():
                found.append("trial")
        elif tried.is_dir() and not tried.is_symlink():
            # A kill between two steps; the next run puts it back.
            found.append("trial without its link")
        return found

    def leftovers(self) -> list[str]:
        """Return what a run that came to its end must not leave."""
        found = []
        try:
            names = os.listdir(self.cache / _TRIALS)
        except FileNotFoundError:
            names = []
        records = {".cacheadmin", ".ledger.json"}
        if any((self.cache / _TRIALS / name).is_symlink() for name in names if name[0] != "."):
            # What came back has left a way there, with its decoy.
            records |= {name for name in names if name.startswith(".walk-")}
        found += [f"{_TRIALS}/{name}" for name in names if name[0] == "." and name not in records]
        for bucket in self.cache.glob("*/cacheadmin"):
            found += [str(one) for one in bucket.iterdir() if one.name.startswith(".new")]
        return found


def _things(folder: Path, below: str = "") -> Iterator[_Thing]:
    for name in sorted(os.listdir(folder / below)):
        path = f"{below}/{name}".lstrip("/")
        status = os.lstat(folder / path)
        content = b""
        if stat.S_ISLNK(status.st_mode):
            content = _link_text(folder / path, status)
        elif stat.S_ISREG(status.st_mode):
            content = (folder / path).read_bytes()
        yield _Thing(path, status, content)
        if stat.S_ISDIR(status.st_mode):
            yield from _things(folder, path)


def _link_text(path: Path, status: os.stat_result) -> bytes:
    """Read a link without leaving a trace: to read a tripwire is to spring it."""
    text = os.fsencode(os.readlink(path))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)
    return text


def _make(path: Path, thing: _Thing) -> None:
    mode = thing.status.st_mode
    if stat.S_ISLNK(mode):
        path.symlink_to(os.fsdecode(thing.content))
    elif stat.S_ISDIR(mode):
        path.mkdir(exist_ok=True)
    else:
        path.write_bytes(thing.content)
    if not stat.S_ISLNK(mode):
        path.chmod(stat.S_IMODE(mode))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _name_links_anew(cache: Path) -> None:
    """Let the ledger know the links that stand for those it knew: an inode is never had twice."""
    ledger = cache / _TRIALS / ".ledger.json"
    if not ledger.exists():
        return
    times = os.stat(ledger)
    document = json.loads(ledger.read_text())
    for trial in document["trials"]:
        place = cache / trial["entry"]
        if place.is_symlink():
            trial["link_inode"] = place.lstat().st_ino
    ledger.write_text(json.dumps(document))
    os.utime(ledger, ns=(times.st_atime_ns, times.st_mtime_ns))


def end_trials_now(cache: Path, *entries: str) -> None:
    """Let the trials of a cache (or of these entries) be over, as if the weeks had passed."""
    ledger = cache / _TRIALS / ".ledger.json"
    document = json.loads(ledger.read_text())
    for trial in document["trials"]:
        if entries and trial["entry"] not in entries:
            continue
        trial["since_ns"] = trial["until_ns"] = time.time_ns() - 86_400 * 10**9
    ledger.write_text(json.dumps(document))
