"""What readers are asked about the users of one cache.

Each question is bound to what one look knows: where the cache is, which
archives it holds. A reader is forked with that, and notes what it learns from
one item to the next (where a spelling leads, names in archives) until it is told to
forget (`Readers.renew`): what a later look asks is looked at again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cacheadmin.evidence.away import AWAY, NOTHING_SHOWS
from cacheadmin.evidence.candidates import FolderAt, folder_at
from cacheadmin.evidence.containers import OWN_CONTAINERS
from cacheadmin.evidence.distributions import ArchiveInodes
from cacheadmin.evidence.environments import Candidate, Scanned, ScanOptions, scan_and_stamp
from cacheadmin.evidence.facts import Environment, EnvironmentKind, EnvironmentStatus
from cacheadmin.evidence.included import INCLUDED
from cacheadmin.evidence.kinds import (
    IDENTITY,
    KIND,
    PRESENT,
    NamedFolder,
    closed_if_nothing,
    own_place,
    probably_names,
    what_is_something,
    who_names,
)
from cacheadmin.evidence.last_use import ATTRIBUTES
from cacheadmin.evidence.lock_holders import HOLDERS
from cacheadmin.evidence.mounted_entries import MOUNTED_ENTRIES
from cacheadmin.evidence.named_in_files import NamedThere, PlaceOfFiles, named_in_files
from cacheadmin.evidence.numbered_archives import ArchiveNumbers, NumberedArchives
from cacheadmin.evidence.owners import owner_by_name, owner_of_link
from cacheadmin.evidence.patterns import MATCHES
from cacheadmin.evidence.pins import PINS
from cacheadmin.evidence.processes import process_question
from cacheadmin.evidence.reach import CONTAINER
from cacheadmin.evidence.registry import REGISTRY
from cacheadmin.evidence.releases import HOME
from cacheadmin.evidence.seen_releases import BINARIES
from cacheadmin.evidence.stamps import Stamp, digest_of, leads_by_name
from cacheadmin.evidence.targets import CacheLocator
from cacheadmin.evidence.tools import python_is_gone, tools_of
from cacheadmin.evidence.tree_searches import SEARCH, TIMES, TOOLS
from cacheadmin.fs.held_folder import hold_folder
from cacheadmin.fs.linked_tree import Allowance
from cacheadmin.fs.precise_times import Devices
from cacheadmin.inventory.contents import EntriesByKind
from cacheadmin.inventory.entries import ArchiveId, archive_id
from cacheadmin.inventory.pointer_folders import FoldersTask, read_pointer_folders
from cacheadmin.inventory.reader import questions as of_the_cache
from cacheadmin.readers import Question, Readers, Unreadable
from cacheadmin.uv.layout import WHEEL_KINDS, is_content_made_id
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.memory import Memory
    from cacheadmin.evidence.observations import Observations
    from cacheadmin.evidence.uv_binaries import UvBinaries
    from cacheadmin.inventory.entries import Inventory
    from cacheadmin.policy.model import Policy


@frozen
class ScanTask:
    """An environment to scan, and how."""

    candidate: Candidate
    """The environment."""
    options: ScanOptions
    """How it is scanned."""
    identity: tuple[int, int] | None = None
    """Device and inode of the folder that was found there; None for a link, or what is gone."""


@frozen
class ScannedByNumber:
    """An environment that was scanned, with its archives as numbers."""

    scanned: Scanned
    """What was seen, without archives."""
    archives: NumberedArchives
    """Archives that it links."""
    hardlinked: NumberedArchives
    """Archives that it shares files with."""


class Questions:
    """The questions of one look; made once, so that readers know them for the whole run."""

    def __init__(
        self,
        policy: Policy,
        inventory: Inventory,
        binaries: UvBinaries,
        memory: Memory | None = None,
        *,
        aliases: tuple[str, ...] = (),
    ) -> None:
        self._policy = policy
        self._aliases = aliases
        self._inventory = inventory
        # Each reader has its own: for an account twice as much is looked at, at most.
        self._allowance = Allowance()
        self._memory = memory
        self._unchanged: dict[tuple[int, int], bool] = {}
        self._status: os.stat_result | None = None
        self.environment: Question[ScanTask, ScannedByNumber] = Question(
            self._scan,
            ScannedByNumber,
            whose=_owner_of_environment,
            blame=_probable_owner,
            forget=self._forget,
            together=4,
            closed=_closed_environment,
            merged=_whole_environment,
        )
        self.folder: Question[NamedFolder, FolderAt] = Question(
            self._folder,
            FolderAt,
            whose=self._who_names,
            blame=probably_names,
            forget=self._forget,
            together=64,
            closed=_closed_place,
            merged=_known_place,
        )

        self.place: Question[NamedFolder, str | None] = Question(
            own_place,
            str | None,
            whose=who_names,
            blame=probably_names,
            together=64,
            closed=closed_if_nothing,
            merged=what_is_something,
        )
        self.pointers: Question[FoldersTask, EntriesByKind] = Question(
            self._pointers, EntriesByKind, in_parts=True
        )
        self.process = process_question(lambda: self.locator, binaries)

        self.files: Question[PlaceOfFiles, NamedThere] = Question(
            self._files,
            NamedThere,
            blame=_owner_of_place,
            closed=_closed_place_of_files,
            merged=_all_named,
        )

    def all(self) -> tuple[Question[Any, Any], ...]:
        """Return every question."""
        own = (self.environment, self.folder, self.place, self.process)
        return (
            *own,
            self.pointers,
            self.files,
            KIND,
            IDENTITY,
            PRESENT,
            NOTHING_SHOWS,
            MOUNTED_ENTRIES,
            REGISTRY,
            HOLDERS,
            CONTAINER,
            MATCHES,
            INCLUDED,
            SEARCH,
            TOOLS,
            TIMES,
            HOME,
            BINARIES,
            AWAY,
            PINS,
            ATTRIBUTES,
            OWN_CONTAINERS,
            *of_the_cache(),
        )

    @cached_property
    def locator(self) -> CacheLocator:
        """What tells whether a path leads into this cache."""
        return locator_for(self._policy, self._inventory, self._aliases)

    @cached_property
    def inodes(self) -> ArchiveInodes:
        """What tells which archive a hardlinked file belongs to."""
        return inodes_for(self._inventory)

    @cached_property
    def numbers(self) -> ArchiveNumbers:
        """The numbers of the inventory's archives; the same in every reader."""
        return ArchiveNumbers(self._inventory.archives)

    @cached_property
    def devices(self) -> Devices:
        """What tells which filesystems have times that can be trusted."""
        return Devices()

    def _forget(self) -> None:
        self._allowance = Allowance()
        for name in ("locator", "inodes", "devices"):
            self.__dict__.pop(name, None)
        # Later looks are there to see what has changed: they look at everything.
        self._memory = None

    def _scan(self, task: ScanTask) -> ScannedByNumber:
        scanned = self._seen(task)
        return scanned_by_number(scanned.environment, scanned.stamp, self.numbers)

    def _seen(self, task: ScanTask) -> Scanned:
        candidate = task.candidate
        scanned = scan_and_stamp(
            candidate,
            self.locator,
            self.inodes,
            task.options,
            self.devices,
            self._allowance,
            task.identity,
        )
        if candidate.kind is EnvironmentKind.CACHED:
            return replace(scanned, environment=_with_tools(scanned.environment))
        return scanned

    def _pointers(self, task: FoldersTask) -> Iterator[EntriesByKind]:
        # What the inventory watches was not told to the reader, which knows it: it is much.
        return read_pointer_folders(replace(task, skip=self._inventory.watched))

    def _files(self, place: PlaceOfFiles) -> NamedThere:
        return named_in_files(place, self.locator, "file")

    def _who_names(self, named: NamedFolder) -> int | None:
        self._status = None
        if named.uid is None:
            self._status = os.lstat(named.path)
        return named.uid if self._status is None else self._status.st_uid

    def _folder(self, named: NamedFolder) -> FolderAt:
        # There are very many, and what was asked for the owner's sake need not be asked again.
        status = self._status
        found = folder_at(named.path, self.locator, status)
        if found.identity is None or found.view or self._memory is None:
            return found
        unchanged = self._unchanged.get(found.identity)
        if unchanged is None:
            of_home = status if found.path == named.path else None
            stamp = self._memory.stamp(found.identity)
            unchanged = stamp is not None and self._is_unchanged(found.path, stamp, of_home)
            self._unchanged[found.identity] = unchanged
        return replace(found, is_unchanged=unchanged)

    def _is_unchanged(self, path: str, stamp: Stamp, status: os.stat_result | None) -> bool:
        return digest_of(path, stamp.paths, status) == stamp.digest and all(
            leads_by_name(one, self.locator) for one in stamp.spellings
        )


def aliases_of(policy: Policy, told: Observations) -> tuple[str, ...]:
    """Return what else a cache is called: by the policy, and on other hosts by their word."""
    others = (one.reach.path for one in told.known if one.reach.path != policy.cache)
    return tuple(dict.fromkeys((*policy.aliases, *sorted(others))))


def locator_for(policy: Policy, inventory: Inventory, aliases: Sequence[str] = ()) -> CacheLocator:
    """Return what tells whether a path leads into this cache; ``aliases`` besides the policy's."""
    return CacheLocator(
        inventory.cache,
        (bucket.name for bucket in inventory.buckets),
        aliases=tuple(dict.fromkeys((*policy.aliases, *aliases))),
        archives={*inventory.archives, *map(archive_id, inventory.on_trial)},
    )


def inodes_for(inventory: Inventory) -> ArchiveInodes:
    """Return what tells which archive a hardlinked file belongs to."""
    paths = {archive.id: archive.path for archive in inventory.archives.values()}
    return ArchiveInodes(inventory.cache.path, paths, _from_index(inventory))


def _from_index(inventory: Inventory) -> frozenset[ArchiveId]:
    """Return the archives that were built from no git commit, by what points to them.

    uv keeps what it built itself in a bucket of sources. An id that is made from the
    content is the same for equal wheels, wherever each comes from.
    """
    ready_made = {
        archive
        for pointer in inventory.wheel_pointers
        if pointer.understood and pointer.bucket.rpartition("-v")[0] in WHEEL_KINDS
        for archive in pointer.archives
        if not is_content_made_id(archive)
    }
    return frozenset(ready_made.difference(*(one.archives for one in inventory.revisions)))


def scan_all(
    readers: Readers, questions: Questions, tasks: Sequence[ScanTask], **settings: Any
) -> list[Scanned]:
    """Return what readers saw of each environment; one they could not read is unreadable."""
    answers = readers.ask_all(questions.environment, tasks, **settings)
    return [
        scanned_by_name(task.candidate, answer, questions.numbers)
        for task, answer in zip(tasks, answers, strict=True)
    ]


def scanned_by_number(
    environment: Environment, stamp: Stamp | None, numbers: ArchiveNumbers
) -> ScannedByNumber:
    """Return an environment that was scanned, with its archives as numbers."""
    rest = replace(environment, archives=frozenset(), hardlinked_archives=frozenset())
    return ScannedByNumber(
        Scanned(rest, stamp),
        numbers.numbered(environment.archives),
        numbers.numbered(environment.hardlinked_archives),
    )


def scanned_by_name(
    candidate: Candidate, answer: ScannedByNumber | Unreadable, numbers: ArchiveNumbers
) -> Scanned:
    """Return an environment that was scanned, with its archives by their ids."""
    if isinstance(answer, Unreadable):
        return Scanned(unread(candidate, answer), None)
    try:
        archives, hardlinked = numbers.named(answer.archives), numbers.named(answer.hardlinked)
    except (IndexError, ValueError):
        failed = Unreadable("its reader named archives that there are none of")
        return Scanned(unread(candidate, failed), None)
    environment = replace(
        answer.scanned.environment, archives=archives, hardlinked_archives=hardlinked
    )
    return replace(answer.scanned, environment=environment)


def unread(candidate: Candidate, failed: Unreadable) -> Environment:
    """Return an environment that no reader could read: it may use anything."""
    return Environment(
        candidate.path,
        candidate.kind,
        EnvironmentStatus.UNREADABLE,
        candidate.sources,
        candidate.registrant if failed.uid is None else failed.uid,
        complete=False,
        reason=failed.reason,
    )


def owner_of(candidate: Candidate) -> int | None:
    """Return for whom an environment is looked at, as far as its path tells."""
    registrant = candidate.registrant
    return registrant if registrant is not None else owner_by_name(candidate.path)


def _closed_environment(task: ScanTask, parts: Sequence[ScannedByNumber]) -> Iterable[str]:
    if parts and parts[0].scanned.environment.complete:
        return ()
    path = task.candidate.path
    return path, f"{path}/pyvenv.cfg", f"{path}/lib"


def _whole_environment(
    before: Sequence[ScannedByNumber], after: Sequence[ScannedByNumber]
) -> Sequence[ScannedByNumber]:
    return after if after and after[0].scanned.environment.complete else before


def _closed_place(named: NamedFolder, parts: Sequence[FolderAt]) -> Iterable[str]:
    return () if parts and parts[0].identity is not None else (named.path,)


def _known_place(before: Sequence[FolderAt], after: Sequence[FolderAt]) -> Sequence[FolderAt]:
    return after if after and after[0].identity is not None else before


def _closed_place_of_files(place: PlaceOfFiles, _parts: Sequence[NamedThere]) -> Iterable[str]:
    # A folder that can't be searched looks like one that is not there.
    return (place.path,)


def _all_named(before: Sequence[NamedThere], after: Sequence[NamedThere]) -> Sequence[NamedThere]:
    one, other = before[0], after[0]
    return (
        NamedThere(
            tuple(dict.fromkeys((*one.entries, *other.entries))),
            tuple(dict.fromkeys((*one.environments, *other.environments))),
            tuple(found for found in one.unseen if found in other.unseen),
        ),
    )


def _with_tools(environment: Environment) -> Environment:
    """Return a cached environment with what it was made for; the same folder as was scanned."""
    path = environment.path
    try:
        with hold_folder(path) as status:
            if environment.identity not in (None, (status.st_dev, status.st_ino)):
                return environment
            return _with_tools_of(path, environment)
    except OSError:
        return _with_tools_of(path, environment)


def _with_tools_of(path: str, environment: Environment) -> Environment:
    tools = tools_of(path)
    gone = python_is_gone(path)
    return replace(environment, tools=tuple(tools), tool_versions=tools, python_gone=gone)


def _owner_of_place(place: PlaceOfFiles) -> int | None:
    return owner_by_name(place.path)


def _owner_of_environment(task: ScanTask) -> int | None:
    # Who has it looked at: a link to a stranger's folder is not that stranger's doing.
    registrant = task.candidate.registrant
    return registrant if registrant is not None else owner_of_link(task.candidate.path)


def _probable_owner(task: ScanTask) -> int | None:
    return owner_of(task.candidate)
