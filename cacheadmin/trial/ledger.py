"""What is remembered of trials: a small file in our folder, replaced as a whole.

It lies beside what it speaks of, so a cache that is moved, copied or mounted
elsewhere keeps it, and no other host needs to reach our quarantine to read it.
Users can't write there.

It never says what *is* on trial: the disk does (``tripwires``). It says since
when and until when, which link is ours, which tripwires are decoys, and what
sprang in the past. Whatever is lost or damaged keeps more: an entry without a
record begins its trial when it is found, a decoy without one is known by its
emptiness, and a use that is forgotten leads to another trial, not to a loss.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from cacheadmin.errors import Refused
from cacheadmin.evidence.idleness import HostTime
from cacheadmin.fs.small_files import ReadFailure, read_file
from cacheadmin.text.damage import DAMAGE
from cacheadmin.trial.folder import LEDGER, NEW_LEDGER
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.trial.folder import TrialFolder

_SCHEMA = "cacheadmin/trial/1"
_MAX_BYTES = 256 * 1024 * 1024

# No more uses need to be remembered than a person can read.
_MAX_USES = 100_000

# A host that looked longer ago counts as one that never did.
_MAX_HOSTS = 1000


@frozen
class Trial:
    """The trial of one entry."""

    entry: str
    """Path of the entry, relative to the cache."""

    run_id: str
    """The run that put it on trial; empty when its record was lost."""

    since_ns: int
    """When the trial began (ns since the epoch)."""

    until_ns: int
    """When silence will have lasted long enough (ns since the epoch)."""

    link_inode: int | None = None
    """Inode of the link we planted; None: unknown."""

    package: str | None = None
    """Name of the package the entry holds; None where it names none."""

    version: str | None = None
    """Version of that package; None without one."""

    bytes: int = 0
    """Bytes that its deletion will free, as they were measured."""

    files: int = 0
    """Files and folders that its deletion will free."""

    discounted_ns: int = 0
    """How much of the time since it began does not count (ns): no use could have been seen."""


@frozen
class Spring:
    """An entry that came back from its trial, and why."""

    entry: str
    """Path of the entry, relative to the cache."""

    run_id: str
    """The run that had put it on trial; empty when that record was lost."""

    at_ns: int
    """When it was used, as far as that is known (ns since the epoch)."""

    why: str
    """Why it came back: a stable word, such as ``sprung``, ``kin`` or ``taken``."""

    who: tuple[str, ...] = ()
    """The users and processes that may have used it, in words; empty where none is known."""

    @property
    def is_use(self) -> bool:
        """Whether it counts as used from then on."""
        return self.why in USES


# What is evidence that a user who was not seen uses an entry.
USES = frozenset({"sprung", "kin", "linked"})


@frozen
class HostLook:
    """When a host looked at all tripwires, by its clock and by its kernel's count."""

    at_ns: int
    """Its time (ns since the epoch), without what its clock was set by since the look before."""

    host: HostTime
    """What its kernel had counted by then."""


@frozen
class Ledger:
    """All that is remembered of the trials of one cache."""

    trials: Mapping[str, Trial] = field(default_factory=dict)
    """Trials by entry; an entry in it may be on trial no longer."""

    decoys: frozenset[str] = frozenset()
    """Paths of decoys: tripwires without an entry, which no environment knows."""

    springs: tuple[Spring, ...] = ()
    """Entries that came back from trial, the oldest first."""

    rooted: frozenset[str] = frozenset()
    """Entries that roots were planted for because they went on trial."""

    looked_ns: int | None = None
    """When all tripwires were last looked at (ns since the epoch); None: never."""

    looks: Mapping[str, HostLook] = field(default_factory=dict)
    """The last look of each host, by its id; without those of older releases."""

    absent: Mapping[str, int] = field(default_factory=dict)
    """Places whose users can't come now (``absences``), by who found so, with since when (ns)."""

    absent_since_ns: int | None = None
    """Since when silence has not counted for their sake (ns since the epoch); None: it counts."""

    blind: bool = False
    """Whether lookups could go unseen at the last look (``blindness``)."""

    def with_trials(self, trials: Iterable[Trial]) -> Ledger:
        """Return the ledger with these trials, in place of older ones of their entries."""
        return replace(self, trials={**self.trials, **{one.entry: one for one in trials}})

    def without(self, entries: Iterable[str]) -> Ledger:
        """Return the ledger without the trials, and decoys, of these entries."""
        gone = frozenset(entries)
        left = {entry: one for entry, one in self.trials.items() if entry not in gone}
        return replace(self, trials=left, decoys=self.decoys - gone)

    def uses_since(self, moment_ns: int) -> dict[str, Spring]:
        """Return what sprang since a moment, by entry: a user who was not seen uses it."""
        return {one.entry: one for one in self.springs if one.is_use and one.at_ns >= moment_ns}

    def used_again(self, uses: Mapping[str, int]) -> Ledger:
        """Return the ledger with later uses of entries that came back: entry to when (ns)."""
        if not uses:
            return self
        last = {one.entry: number for number, one in enumerate(self.springs) if one.is_use}
        springs = list(self.springs)
        for entry, at_ns in uses.items():
            number = last.get(entry)
            if number is None:
                springs.append(Spring(entry, "", at_ns, "sprung"))
            else:
                spring = springs[number]
                springs[number] = replace(spring, at_ns=max(spring.at_ns, at_ns))
        return replace(self, springs=tuple(springs))


def read_ledger(folder: TrialFolder) -> Ledger:
    """Return what is remembered; an empty ledger where nothing can be read.

    Raises Refused for one of a newer release: its trials must not be forgotten.
    """
    content = read_file(LEDGER, _MAX_BYTES, folder.fd)
    if isinstance(content, ReadFailure):
        return Ledger()
    try:
        document = json.loads(content)
        if document["schema"] != _SCHEMA:
            _require_known(str(document["schema"]))
            return Ledger()
        trials = [_trial(row) for row in document["trials"]]
        return Ledger(
            trials={one.entry: one for one in trials},
            decoys=frozenset(map(str, document["decoys"])),
            springs=tuple(map(_spring, document["springs"])),
            rooted=frozenset(map(str, document["rooted"])),
            looked_ns=document["looked_ns"] and int(document["looked_ns"]),
            looks={str(name): _look(name, row) for name, row in document.get("looks", {}).items()},
            absent={str(place): int(at) for place, at in document.get("absent", {}).items()},
            absent_since_ns=_number(document.get("absent_since_ns")),
            blind=bool(document.get("blind", False)),
        )
    except DAMAGE:
        return Ledger()


def _require_known(schema: str) -> None:
    name, _, number = _SCHEMA.rpartition("/")
    found = re.fullmatch(rf"{re.escape(name)}/(\d{{1,9}})", schema)
    if found is not None and int(found[1]) > int(number):
        raise Refused(
            f"what is on trial was noted by a newer cacheadmin ({schema}; this release knows up to "
            f"{_SCHEMA})",
            hint="upgrade cacheadmin on this host; nothing was changed",
        )


def write_ledger(folder: TrialFolder, ledger: Ledger) -> None:
    """Replace the file; it is on the disk when this returns. Raises OSError."""
    document = {
        "schema": _SCHEMA,
        "looked_ns": ledger.looked_ns,
        "looks": {name: _look_row(one) for name, one in _newest(ledger.looks)},
        "absent": dict(ledger.absent),
        "absent_since_ns": ledger.absent_since_ns,
        "blind": ledger.blind,
        "decoys": sorted(ledger.decoys),
        "rooted": sorted(ledger.rooted),
        "trials": [_trial_row(one) for _, one in sorted(ledger.trials.items())],
        "springs": [_spring_row(one) for one in ledger.springs[-_MAX_USES:]],
    }
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(NEW_LEDGER, flags, 0o600, dir_fd=folder.fd), "w", encoding="ascii") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(NEW_LEDGER, LEDGER, src_dir_fd=folder.fd, dst_dir_fd=folder.fd)
    os.fsync(folder.fd)


def _trial_row(trial: Trial) -> dict[str, Any]:
    return {
        "entry": trial.entry,
        "run_id": trial.run_id,
        "since_ns": trial.since_ns,
        "until_ns": trial.until_ns,
        "link_inode": trial.link_inode,
        "package": trial.package,
        "version": trial.version,
        "bytes": trial.bytes,
        "files": trial.files,
        "discounted_ns": trial.discounted_ns,
    }


def _trial(row: dict[str, Any]) -> Trial:
    return Trial(
        entry=str(row["entry"]),
        run_id=str(row["run_id"]),
        since_ns=int(row["since_ns"]),
        until_ns=int(row["until_ns"]),
        link_inode=_number(row["link_inode"]),
        package=_text(row["package"]),
        version=_text(row["version"]),
        bytes=int(row["bytes"]),
        files=int(row["files"]),
        discounted_ns=int(row["discounted_ns"]),
    )


def _spring_row(spring: Spring) -> dict[str, Any]:
    return {
        "entry": spring.entry,
        "run_id": spring.run_id,
        "at_ns": spring.at_ns,
        "why": spring.why,
        "who": list(spring.who),
    }


def _spring(row: dict[str, Any]) -> Spring:
    return Spring(
        entry=str(row["entry"]),
        run_id=str(row["run_id"]),
        at_ns=int(row["at_ns"]),
        why=str(row["why"]),
        who=tuple(map(str, row["who"])),
    )


def _newest(looks: Mapping[str, HostLook]) -> list[tuple[str, HostLook]]:
    return sorted(looks.items(), key=lambda one: -one[1].at_ns)[:_MAX_HOSTS]


def _look_row(look: HostLook) -> dict[str, Any]:
    return {
        "at_ns": look.at_ns,
        "boot": look.host.boot,
        "uptime_ns": look.host.uptime_ns,
        "running_ns": look.host.running_ns,
    }


def _look(name: str, row: dict[str, Any]) -> HostLook:
    counted = HostTime(name, str(row["boot"]), int(row["uptime_ns"]), int(row["running_ns"]))
    return HostLook(int(row["at_ns"]), counted)


def _number(value: Any) -> int | None:
    return None if value is None else int(value)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
