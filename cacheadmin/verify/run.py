"""Verify a cache: choose archives, check them, gather what is wrong.

What a RECORD says is all that an archive can be held against. uv's pointers
may know the hash of the whole wheel, which can't be compared with unpacked
files: who changes a file and its line in RECORD alike is not found here.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import psutil

from cacheadmin.evidence.questions import locator_for
from cacheadmin.findings import Severity, worst_first
from cacheadmin.inventory.entries import Archive, ArchiveContent, ArchiveId, archive_in
from cacheadmin.packages.names import normalized
from cacheadmin.pins import no_such_target
from cacheadmin.planner.targets import near_names, resolve_target
from cacheadmin.values import frozen
from cacheadmin.verify.findings import Telling
from cacheadmin.verify.parallel import Workplace, check_all
from cacheadmin.verify.problems import Problem, VerifyRule
from cacheadmin.verify.sample import in_sample

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Environment, Evidence
    from cacheadmin.findings import Finding
    from cacheadmin.inventory.entries import Inventory
    from cacheadmin.inventory.reader import OpenCache
    from cacheadmin.policy.model import Policy
    from cacheadmin.snapshot.snapshot import Progress, Snapshot
    from cacheadmin.verify.check import CheckedArchive


@frozen
class Verification:
    """What a verification found."""

    findings: tuple[Finding, ...]
    """The findings, worst first."""
    archives: int
    """How many archives were checked; those removed meanwhile are not counted."""
    candidates: int
    """How many archives the targets name."""
    files: int
    """How many files were compared with RECORD."""
    bytes: int
    """The bytes of these files, as RECORD has them."""
    seconds: float
    """How long it took."""
    share: float
    """The share of the candidates that was wanted, 0 to 1."""
    seed: int
    """What chose the sample: the day since the epoch, or the caller's number."""


def run_verify(
    snapshot: Snapshot,
    targets: Sequence[str] = (),
    *,
    share: float = 1.0,
    seed: int | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Check the archives that ``targets`` name (all, without), or a share of them.

    ``seed`` stands for the day, which is counted from the epoch. Raises
    NotACache for a target that names no archive.
    """
    begun = time.monotonic()
    day = snapshot.now_ns // (86_400 * 10**9) if seed is None else seed
    candidates = _candidates(snapshot, targets)
    chosen = [archive for archive in candidates if in_sample(archive.id, share, day)]
    checked = _check_all(snapshot, chosen, jobs or _workers(snapshot.policy), progress)
    telling = Telling(snapshot)
    pointers = _named_by_pointers(snapshot.inventory)
    findings: list[Finding] = []
    for one in checked:
        for problem in _wrong_package(one, pointers.get(one.archive.id, [])):
            one.add(problem)
        findings += telling.findings(one)
    return Verification(
        findings=worst_first(findings),
        archives=sum(not one.gone for one in checked),
        candidates=len(candidates),
        files=sum(one.files for one in checked),
        bytes=sum(one.bytes for one in checked),
        seconds=time.monotonic() - begun,
        share=share,
        seed=day,
    )


def _workers(policy: Policy) -> int:
    limit = policy.scan.limits.of_readers.memory_bytes
    cores = len(psutil.Process().cpu_affinity() or ())
    return workers_for(cores, psutil.virtual_memory().available, limit)


def workers_for(cores: int, available_bytes: int, limit_bytes: int) -> int:
    """Return how many workers check: one a core, but so few that half the free memory is enough.

    A worker takes ``limit_bytes`` at most, where what it reads is hostile.
    """
    return max(1, min(cores, available_bytes // 2 // limit_bytes))


def _candidates(snapshot: Snapshot, targets: Sequence[str]) -> list[Archive]:
    inventory, evidence = snapshot.inventory, snapshot.evidence
    known = {
        **inventory.archives,
        **{one.id: one for one in _not_looked_into(snapshot.cache, inventory)},
    }
    if not targets:
        return list(known.values())
    wanted: set[ArchiveId] = set()
    for target in targets:
        archives = (
            set(_archives_of(snapshot.policy, inventory, evidence, target, known)) & known.keys()
        )
        if not archives:
            others = [environment.path for environment in evidence.environments]
            raise no_such_target(target, near_names(target, inventory, others))
        wanted |= archives
    return [archive for archive in known.values() if archive.id in wanted]


def _not_looked_into(cache: OpenCache, inventory: Inventory) -> Iterator[Archive]:
    """Yield, as an archive, each link that stands for one or for their whole bucket.

    The inventory knows them as strays, for prune leaves them alone. uv does
    follow them: to pass over them would hide what was put in an archive's place.
    And a bucket that is closed to the caller: what is in it was not verified.
    """
    seen = {archive.path for archive in inventory.archives.values()}
    closed = {one.path for one in inventory.unreadable}
    for path in sorted((closed | {stray.path for stray in inventory.strays}) - seen):
        if archive_in(path) is None:
            continue
        try:
            status = os.stat(path, dir_fd=cache.fd, follow_symlinks=False)
        except OSError:
            continue
        if path in closed or stat.S_ISLNK(status.st_mode):
            yield Archive(
                id=ArchiveId(path.rpartition("/")[2]),
                path=path,
                content=ArchiveContent.UNKNOWN,
                package=None,
                version=None,
                uid=status.st_uid,
                inode=status.st_ino,
                mtime_ns=status.st_mtime_ns,
            )


def _archives_of(
    policy: Policy,
    inventory: Inventory,
    evidence: Evidence,
    target: str,
    known: Mapping[ArchiveId, Archive],
) -> Iterator[ArchiveId]:
    """Yield the archives of entries that a target names, or of an environment at that path."""
    found = resolve_target(target, inventory, policy.aliases)
    by_path = {archive.path: archive.id for archive in known.values()}
    for entry in found.entries:
        if entry.path in by_path:
            yield by_path[entry.path]
        yield from entry.archives
    absolute = os.path.abspath(target)
    for environment in evidence.environments:
        if environment.path == absolute:
            yield from _linked(environment)


def _linked(environment: Environment) -> frozenset[ArchiveId]:
    return environment.archives | environment.hardlinked_archives


def _check_all(
    snapshot: Snapshot, archives: Sequence[Archive], jobs: int, progress: Progress | None
) -> list[CheckedArchive]:
    cache = snapshot.cache
    locator = locator_for(snapshot.policy, snapshot.inventory)
    limits = snapshot.policy.scan.limits.of_readers
    place = Workplace(cache.fd, cache.identity.path, locator, limits)

    def done(number: int) -> None:
        if progress is not None:
            progress("archives", number, len(archives))

    # Those that looked at environments have nothing more to do.
    snapshot.collected.look.readers.close()
    return check_all(place, archives, jobs, done)


def _named_by_pointers(inventory: Inventory) -> dict[ArchiveId, list[tuple[str, str, str | None]]]:
    """Return path, package and version of each wheel pointer and revision, by archive."""
    named: dict[ArchiveId, list[tuple[str, str, str | None]]] = {}
    for pointer in inventory.wheel_pointers:
        for archive in pointer.archives:
            row = (pointer.path, pointer.package, pointer.version)
            named.setdefault(archive, []).append(row)
    for revision in inventory.revisions:
        if revision.package is None:
            continue
        for archive in revision.archives:
            row = (revision.path, revision.package, revision.version)
            named.setdefault(archive, []).append(row)
    return named


def _wrong_package(
    checked: CheckedArchive, pointers: Sequence[tuple[str, str, str | None]]
) -> Iterator[Problem]:
    """Yield what is not the package that a pointer, or its own folder, says it is."""
    archive = checked.archive
    if checked.gone or archive.content is not ArchiveContent.WHEEL:
        return
    claims = [
        (f"its {archive.package} dist-info", archive.package or "", archive.version),
        *pointers,
    ]
    for where, package, version in claims:
        name = checked.name
        wrong = name is not None and normalized(name) != normalized(package)
        if not wrong and version is not None and checked.version is not None:
            wrong = not same_version(version, checked.version)
        if wrong:
            what = f"METADATA says {name} {checked.version}, {where} says {package} {version or ''}"
            rule = VerifyRule.WRONG_PACKAGE
            yield Problem(rule, Severity.ERROR, "", what.strip()[:500])


def same_version(one: str, other: str) -> bool:
    """Whether two spellings mean one version (``1.0`` and ``1.0.0``)."""
    from packaging.version import InvalidVersion, Version

    # A folder's name has `_` for what a file name can't hold.
    texts = [text.replace("_", "-") for text in (one, other)]
    try:
        return Version(texts[0]) == Version(texts[1])
    except InvalidVersion:
        return texts[0].lower() == texts[1].lower()
