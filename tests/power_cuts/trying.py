"""Record a command on a disk, cut the power everywhere, and look at what is there."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cacheadmin.cli.app import run
from tests.faults.commands import Command
from tests.faults.small_site import ENTRIES, SmallSite
from tests.power_cuts.cuts import Cut, all_cuts
from tests.power_cuts.recorded_disk import (
    Entry,
    RecordedDisk,
    apply_entries,
    mounted,
    write_image,
)
from tests.support.cacheadmin_cli import Cacheadmin, Result
from tests.support.supervised import supervised

#: Cuts between two flushes, each with other writes.
BETWEEN = 2

#: A namespace of somebody else's may keep the last one mounted for a moment.
_OPTIONS = {"ext4": "loop", "xfs": "loop,nouuid"}

_UNCLEAR = ("unexpected", "Traceback")

#: States of runs whose content is being deleted, or was to be.
_GOING = frozenset({"purging", "purged"})


@dataclass
class Trial:
    """One power cut, and what was wrong after it."""

    command: str
    kind: str
    cut: Cut
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.command} on {self.kind}, cut {self.cut}: {'; '.join(self.wrong)}"


@dataclass
class Recording:
    """What one command did to a disk, and the site that it worked on."""

    kind: str
    command: Command
    folder: Path
    place: Path
    policy: str
    size: int
    log: Sequence[Entry]
    begin: int
    """So many entries of the log were there, and on the disk, before the command."""

    @classmethod
    def made(cls, folder: Path, kind: str, command: Command) -> Recording:
        """Let a command work on a site of its own, on a new disk."""
        with RecordedDisk.made(folder, kind) as disk:
            place = disk.mounted / "site"
            place.mkdir()
            site = SmallSite.build(place)
            command.prepare(site)
            begin = disk.settled()
            words = [word.replace("POLICY", site.policy) for word in command.words]
            work = command.work
            done = supervised(
                lambda: run(words) if work is None else work(site), [place], lambda _: None
            )
            assert done.code in command.codes, (done.code, done.stderr)
            # The power goes as the command has ended: what it left in memory is lost, or not.
            disk.settled()
            log = disk.log_entries()
            return cls(kind, command, folder, place, site.policy, disk.size, log, begin)

    def cuts(self, between: int = BETWEEN, seed: int = 1) -> list[Cut]:
        """Return all power cuts that are tried."""
        return list(all_cuts(self.log, self.begin, between, seed))

    def try_all(
        self, *, sample: int = 1, first: int = 0, between: int = BETWEEN, seed: int = 1
    ) -> Iterator[Trial]:
        """Yield what was wrong after each ``sample``-th cut."""
        flushed, image = self.begin, self.folder / "flushed"
        write_image(self.log[:flushed], self.size, image)
        with image.open("r+b") as file:
            for cut in self.cuts(between, seed)[first % sample :: sample]:
                # Cuts come in the order of the log.
                apply_entries(file.fileno(), self.log[flushed : cut.flushed])
                flushed = cut.flushed
                yield self._attempt(cut, image)

    def attempt(self, cut: Cut) -> Trial:
        """Return what was wrong after one cut."""
        image = self.folder / "alone"
        write_image(self.log[: cut.flushed], self.size, image)
        return self._attempt(cut, image)

    def _attempt(self, cut: Cut, image: Path) -> Trial:
        left = self.folder / "left"
        subprocess.run(["cp", "--sparse=always", image, left], check=True)
        with left.open("r+b") as file:
            apply_entries(file.fileno(), cut.pending)
        trial = Trial(self.command.name, self.kind, cut)
        with mounted(self.kind, str(left), self.place.parent, "-o", _OPTIONS[self.kind]):
            site = SmallSite(self.place, self.policy)
            trial.wrong += site.wrong(self.command.ending)
            trial.wrong += self._next_commands(site)
        left.unlink()
        return trial

    def _next_commands(self, site: SmallSite) -> list[str]:
        runner = Cacheadmin(site.folder / "cacheadmin")
        done = runner("-q", "prune", site.policy)
        found = [f"afterwards {one}" for one in site.wrong(self.command.ending)]
        found += _misspoken("the next prune", done)
        found += [f"the next prune leaves {one}" for one in site.leftovers()]
        told = runner("runs", "list", site.policy, "--format", "json")
        found += _misspoken("runs list", told)
        if told.code == 0:
            runs = told.json["runs"]
            known = {one["run_id"] for one in runs if one["restorable"]}
            # Noted before the first file goes: no user may put halves back.
            purged = {one["run_id"] for one in runs if one["state"] in _GOING}
            left = _holding(site) - known
            found += [f"what {one} moved can't be restored" for one in left - purged]
            if left & purged:
                done = runner("-q", "runs", "purge", site.policy, "--all")
                found += _misspoken("the next purge", done)
                found += [f"the next purge leaves {one}" for one in _holding(site) & purged]
        return found


def _holding(site: SmallSite) -> set[str]:
    """Return the runs that have an entry of the site in quarantine."""
    quarantine = site.folder / "cache.cacheadmin" / "quarantine"
    return {
        held.relative_to(quarantine).parts[0]
        for entry in ENTRIES
        for held in quarantine.glob(f"*/entries/{entry}")
    }


def _misspoken(what: str, done: Result) -> list[str]:
    said = done.stderr.strip()[-400:]
    if done.code != 0:
        return [f"{what} leaves with {done.code}: {said}"]
    return [f"{what} says: {said}"] if any(word in said for word in _UNCLEAR) else []


def record_and_try(
    folder: Path,
    kind: str,
    command: Command,
    *,
    number: int | None = None,
    sample: int = 1,
    first: int = 0,
) -> tuple[int, list[Trial]]:
    """Return how many cuts there are, and what came of each that was tried.

    ``number``: so many of them, spread over the whole command.
    """
    place = folder / f"{kind}-{command.name}"
    place.mkdir()
    try:
        recording = Recording.made(place, kind, command)
        cuts = len(recording.cuts())
        if number is not None:
            sample = max(1, cuts // number)
        return cuts, list(recording.try_all(sample=sample, first=first))
    finally:
        shutil.rmtree(place, ignore_errors=True)
