"""Tripwires: links in the place of what is on trial, and every move with them.

The problem. No program can see every user of an entry: an environment in a
home that is not mounted tonight, a container that is stopped, another host. A
removal that rests on "no user was seen" must therefore do no harm where one
was there all the same, and must learn of it.

The idea. The entry O (``archive-v0/<id>``) changes places, in one step, with a
prepared link of the same name. The entry then lies at P, in our folder in the
archive bucket, and O is a link that leads there. Every path goes on resolving
for every process, under every mount of the cache, since the link is relative. Its
access time was set to the past; the kernel moves it at the first lookup that
goes through it, a mere ``stat`` too. So the kernel keeps watch for us, and
``lstat`` tells what it saw.

What is on the disk is the truth, whatever any record says:

====================  ==================  =========================================
O                     P                   means
====================  ==================  =========================================
the entry             nothing             not on trial
the entry             a link of ours      prepared, or put back a moment ago
the entry             a way back          not on trial; it was, and may be known by that
                                          path (``ways_back``)
a link of ours        the entry           on trial; silent, or sprung
nothing               the entry           the tripwire was taken, or a kill between
                                          two steps: the entry is put back
something else        the entry           foreign: kept, reported, never overwritten
a link of ours        nothing             the entry was deleted: the link goes too,
                                          one that leads nowhere ends uv's prunes
====================  ==================  =========================================

Why no user is harmed, step by step:

- *Planting.* With ``RENAME_EXCHANGE`` there is no moment without O. A lookup
  before it finds the entry, and one that is inside already goes on: folders are
  the same, only their name changed. A lookup after it springs the link. uv is
  no exception: one that read a pointer before the pointers went (they go first,
  and whole) links to O, and O resolves; making its links, it looks O up, and so
  springs it. Where the filesystem has no exchange (NFS) there are two renames,
  and a moment without O between them; the journal covers it, and a kill there
  leaves the entry at P and nothing at O, which the next look puts back.
- *Clients of network filesystems* follow names and links from memory for up to
  a minute, unseen (``evidence.client_memory``). So that long after planting, and
  after setting back, does not count, and what the server knows is asked for.
- *A lookup while we look.* The kernel moves the access time before it goes on
  to P. A lookup that got through before our ``lstat`` is seen by it, one that comes
  later by the next.
- *Springs.* The entry is put back by exchange: again no moment without O, and
  what is inside stays inside. Then the link, now at P, is replaced by a way back,
  for who has resolved the path meanwhile, or is unlinked; a kill before that leaves the
  entry at O and a link at P, which means nothing, and the way back ready.
- *Setting back* (after a walk through the whole folder, which proves nothing)
  could hide a lookup between our ``lstat`` and the setting. So the time from
  the last look to *after* the setting counts as not watched at all, and
  prolongs the trial (``judging``).
- *The end.* Silence up to a look says nothing of the moment after it. So the
  link is first renamed away: from now on no process can come in. A lookup that had
  found the link before must have moved its access time, or is about to. After a
  wait the link is looked at once more. Sprung: the entry goes back to O. Silent:
  P is renamed to a name of the condemned and deleted through descriptors. A
  kill in between leaves nothing at O and the entry at P: it is put back. A kill
  while the condemned is deleted leaves halves under a name that nothing leads
  to; the next run deletes the rest. On network filesystems the wait covers the
  time for which a client may keep attributes.
- *Users' own prunes.* Roots are planted for our folder and for each entry, in
  the bucket of every release (``protect.roots``), so a prune leaves O and P. It
  resolves every name in the bucket and springs all tripwires; decoys tell that
  from a use. Two prunes of different releases in a row take the roots away: one
  of 0.12.13 and later then unlinks O (seen as taken: put back), one of 0.6.4 to
  0.11.19 deletes P and leaves O (the link goes too). That is the limit of
  protection, here as without trial.
- *Cached environments* in ``environments-v*`` lose O to every user's prune, as
  they would without us; P stays where the release unlinks.
- *Hostile users* of a bucket they may write to can replace O, or touch it. A
  touch keeps an entry. A link of another owner than ours is foreign, however it
  looks: its silence is never believed. One of ours with another inode than the
  recorded one comes from a copy of the cache: its silence begins again.
- *Two of us.* All changes happen under the run lock.

We never read a tripwire's text: reading it is a lookup. Size, owner and inode
say whether it is ours.

``tests/integration/trial/test_tripwire_interleavings.py`` runs lookups, takings,
replacements and kills at every step of every move through these functions.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from enum import StrEnum
from typing import TYPE_CHECKING

from cacheadmin.fs.removal import Removed, remove_tree
from cacheadmin.fs.rename import exchange, move_to_free_name
from cacheadmin.fs.rights import give_rights, rights_below
from cacheadmin.fs.server_questions import ask_server
from cacheadmin.fs.small_files import kind_words, open_directory, open_directory_beneath
from cacheadmin.inventory.entries import bucket_of
from cacheadmin.text.timestamps import NANOSECONDS
from cacheadmin.trial.folder import PAST_NS
from cacheadmin.trial.ways_back import (
    discard_ready,
    has_way_back,
    is_used_by_its_way_back,
    make_decoy_of_ways_back,
    make_way_back,
    mend_ways_back,
    place_way_back,
)
from cacheadmin.uv.layout import (
    entry_on_trial,
    parse_bucket_name,
    trial_name,
    tripwire_text,
)
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from cacheadmin.trial.folder import TrialFolder

# The access time of one that was set back, after a walk or at the end: it is silent since, but a
# process may have gone through it before.
_SET_BACK_NS = PAST_NS + NANOSECONDS
SILENT_NS = frozenset({PAST_NS, _SET_BACK_NS})

# Names of our own records in the folder; entries never begin with a dot.
_PREPARED = ".new-"
_ENDING = ".ending-"
_CONDEMNED = ".gone-"
_TRIED = ".try-"
_OLD = ".old-"

#: Buckets whose entries may be on trial.
TRIED_KINDS = frozenset({"archive", "environments"})

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR)


class TripwireStanding(StrEnum):
    """What stands in the place of an entry on trial."""

    SILENT = "silent"
    SPRUNG = "sprung"
    TAKEN = "taken"
    FOREIGN = "foreign"
    EMPTY = "empty"


@frozen
class SeenTripwire:
    """What a look at one entry on trial found."""

    entry: str
    """Path of the entry, relative to the cache."""

    standing: TripwireStanding
    """What stands in its place."""

    planted_ns: int | None = None
    """When the link was planted, by the link itself; None without one of ours."""

    accessed_ns: int | None = None
    """When a lookup through the link moved its access time (ns since the epoch); None: never."""

    link_inode: int | None = None
    """The link's inode; None without a link of ours."""

    what: str = ""
    """What foreign thing is there, in words; empty where there is none."""


class Tripwires:
    """The moves with tripwires of one cache. Changing ones need the run lock.

    Holds a descriptor of each bucket it met; ``close`` lets them go.
    """

    def __init__(self, folder: TrialFolder) -> None:
        self.folder = folder
        self._buckets: dict[str, int] = {}
        self._exchanges: bool | None = None
        self._sees: bool | None = None
        self._has_decoy_of_ways_back = False

    def __enter__(self) -> Tripwires:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the buckets go."""
        for fd in self._buckets.values():
            os.close(fd)
        self._buckets.clear()

    @property
    def exchanges(self) -> bool:
        """Whether this filesystem exchanges two names in one step; tried once."""
        if self._exchanges is None:
            self._exchanges = self._try_exchange()
        return self._exchanges

    @property
    def sees(self) -> bool:
        """Whether a lookup moves a link's access time on this filesystem; tried once."""
        if self._sees is None:
            try:
                self._sees = access_is_seen(self.folder)
            except OSError:
                return False
        return self._sees

    # Looking: nothing here moves an access time

    def entries(self) -> list[str]:
        """Return the entries that lie in our folder, sorted; prepared links are none."""
        found = []
        with os.scandir(self.folder.fd) as listing:
            for one in listing:
                entry = entry_on_trial(one.name)
                if entry is not None and one.is_dir(follow_symlinks=False):
                    found.append(entry)
        return sorted(found)

    def holds(self, entry: str) -> bool:
        """Whether an entry lies in our folder."""
        name = trial_name(entry)
        return name is not None and _is_folder(self.folder.fd, name)

    def look(self, entry: str) -> SeenTripwire:
        """Return what stands in an entry's place."""
        if not self.holds(entry):
            return SeenTripwire(entry, TripwireStanding.EMPTY)
        status = self._at_origin(entry)
        if status is None:
            return SeenTripwire(entry, TripwireStanding.TAKEN)
        if not self._is_ours(entry, status):
            return SeenTripwire(entry, TripwireStanding.FOREIGN, what=_words(status))
        sprung = status.st_atime_ns not in SILENT_NS
        return SeenTripwire(
            entry,
            TripwireStanding.SPRUNG if sprung else TripwireStanding.SILENT,
            planted_ns=status.st_mtime_ns,
            accessed_ns=status.st_atime_ns if sprung else None,
            link_inode=status.st_ino,
        )

    def stands_empty(self, entry: str) -> bool:
        """Whether a link of ours stands in the place of an entry that our folder lacks."""
        status = self._at_origin(entry)
        if status is None or self.holds(entry):
            return False
        return self._is_ours(entry, status)

    def leading_nowhere(self) -> list[str]:
        """Return the entries that our folder lacks and whose place a link of ours has.

        They end uv's own prunes.
        """
        links = _links_that_may_be_ours(self.folder.cache_fd)
        return [entry for entry in links if self.stands_empty(entry)]

    # Planting

    def prepare(self, entry: str, moment_ns: int) -> int:
        """Make the link that will stand in an entry's place; return its inode.

        ``moment_ns`` becomes its modification time. Before uv's lock is taken:
        this is what costs. Raises OSError, also for what is used by its way back.
        """
        if is_used_by_its_way_back(self.folder, entry):
            raise OSError(errno.EBUSY, "it is used by the path that it had on trial", entry)
        return self._make_link(entry, self._prepared_name(entry), moment_ns)

    def _make_link(self, entry: str, name: str, moment_ns: int) -> int:
        self._discard_link(name)
        os.symlink(self._text(entry), name, dir_fd=self.folder.fd)
        bucket = os.fstat(self._bucket(entry))
        if _is_sticky(bucket) and os.geteuid() == 0:
            # fs.protected_symlinks: there no user may follow links of others but the owner's.
            os.chown(name, bucket.st_uid, -1, dir_fd=self.folder.fd, follow_symlinks=False)
        times = (PAST_NS, moment_ns)
        os.utime(name, ns=times, dir_fd=self.folder.fd, follow_symlinks=False)
        return os.stat(name, dir_fd=self.folder.fd, follow_symlinks=False).st_ino

    def forget(self, entry: str) -> None:
        """Remove a prepared link that was not used."""
        self._discard_link(self._prepared_name(entry))

    def plant(self, entry: str) -> None:
        """Put an entry on trial: it and its prepared link change places. Raises OSError."""
        bucket_fd, name, place = self._bucket(entry), _name(entry), self._place(entry)
        if not _is_folder(bucket_fd, name):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), entry)
        if not self.exchanges:
            if has_way_back(self.folder, entry):
                self._discard_link(place)
            move_to_free_name(name, bucket_fd, place, self.folder.fd)
            try:
                self._require_entry(entry)
                move_to_free_name(self._prepared_name(entry), self.folder.fd, name, bucket_fd)
            except BaseException:
                # Without its link an entry on trial is one that is gone.
                with contextlib.suppress(OSError):
                    move_to_free_name(place, self.folder.fd, name, bucket_fd)
                raise
            return
        if (prepared := self._prepared_name(entry)) != place:
            os.rename(prepared, place, src_dir_fd=self.folder.fd, dst_dir_fd=self.folder.fd)
        exchange(name, bucket_fd, place, self.folder.fd)
        try:
            self._require_entry(entry)
        except OSError:
            exchange(name, bucket_fd, place, self.folder.fd)
            raise

    def _require_entry(self, entry: str) -> None:
        """Raise OSError where another process put something in an entry's place as we looked."""
        if not self.holds(entry):
            raise OSError(errno.EBUSY, "something else stands in its place now", entry)

    def set_back(self, entry: str) -> bool:
        """Make a sprung tripwire silent again; whether it is ours and was set."""
        # By descriptor: a name could be another's file by the time its times are set.
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(_name(entry), flags, dir_fd=self._bucket(entry))
        except FileNotFoundError:
            return False
        try:
            status = os.fstat(fd)
            if not self._is_ours(entry, status):
                return False
            os.utime(f"/proc/self/fd/{fd}", ns=(_SET_BACK_NS, status.st_mtime_ns))
        finally:
            os.close(fd)
        return True

    # Decoys

    def plant_decoy(self, decoy: str, moment_ns: int) -> None:
        """Plant a tripwire that no environment knows, to an empty folder. Raises OSError."""
        place = self._place(decoy)
        if _is_folder(self.folder.fd, place):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), decoy)
        link = f"{_PREPARED}{place}"
        self._make_link(decoy, link, moment_ns)
        os.mkdir(place, 0o755, dir_fd=self.folder.fd)
        move_to_free_name(link, self.folder.fd, _name(decoy), self._bucket(decoy))

    def remove_decoy(self, decoy: str) -> bool:
        """Remove a decoy, link and folder; what is not ours stays. Whether its link is gone."""
        place = self._place(decoy)
        try:
            status = self._at_origin(decoy)
            if status is not None and self._is_ours(decoy, status):
                os.unlink(_name(decoy), dir_fd=self._bucket(decoy))
        except FileNotFoundError:
            pass
        except OSError:
            # A link without its folder would lead nowhere: both stay, for the next run.
            return False
        try:
            os.rmdir(place, dir_fd=self.folder.fd)
        except OSError:
            # Gone, or another process put something into it: never ours to delete.
            pass
        return True

    # Putting back

    def put_back(self, entry: str, *, used: bool = False) -> str:
        """Put an entry back in its place; return what keeps it from it, or "".

        Whatever a kill or a user left is mended on the way. Something foreign in
        its place is never replaced. Where a process may have learned its place on trial,
        as of what is ``used``, a way back is left there (``ways_back``).
        """
        place = trial_name(entry)
        if place is None or not _is_folder(self.folder.fd, place):
            self._clear_remains(entry)
            return ""
        try:
            status = self._at_origin(entry)
            if status is not None and not self._is_ours(entry, status):
                return f"{_words(status)} stands in its place"
            known = used or status is None or status.st_atime_ns != PAST_NS or not self.sees
            if known:
                self._make_way_back(entry)
            if status is not None:
                if self.exchanges:
                    return self._exchange_back(entry, place, known=known)
                self._move_link_away(entry, f"{_OLD}{place}")
                self._learn_of_use(entry, f"{_OLD}{place}", known=known)
            move_to_free_name(place, self.folder.fd, _name(entry), self._bucket(entry, make=True))
        except FileExistsError:
            return "something else stands in its place"
        except OSError as error:
            return error.strerror or type(error).__name__
        place_way_back(self.folder, entry)
        for prefix in (_OLD, _ENDING, _PREPARED):
            self._discard_link(f"{prefix}{place}")
        return ""

    def _make_way_back(self, entry: str) -> None:
        if not self._has_decoy_of_ways_back:
            make_decoy_of_ways_back(self.folder)
            self._has_decoy_of_ways_back = True
        make_way_back(self.folder, entry)

    def _learn_of_use(self, entry: str, link: str, *, known: bool) -> None:
        """Get a way back ready where a process came through a link right before it was moved."""
        status = os.stat(link, dir_fd=self.folder.fd, follow_symlinks=False)
        if not known and status.st_atime_ns != PAST_NS:
            self._make_way_back(entry)

    def _exchange_back(self, entry: str, place: str, *, known: bool) -> str:
        bucket_fd, name = self._bucket(entry), _name(entry)
        exchange(name, bucket_fd, place, self.folder.fd)
        status = os.stat(place, dir_fd=self.folder.fd, follow_symlinks=False)
        if not self._is_ours(entry, status):
            exchange(name, bucket_fd, place, self.folder.fd)
            discard_ready(self.folder, entry)
            return f"{_words(status)} stands in its place"
        self._learn_of_use(entry, place, known=known)
        if not place_way_back(self.folder, entry):
            os.unlink(place, dir_fd=self.folder.fd)
        return ""

    def _clear_remains(self, entry: str) -> None:
        """Remove links of ours that mean nothing: the entry is not in our folder."""
        place = trial_name(entry)
        if place is None:
            return
        for prefix in ("", _OLD, _ENDING, _PREPARED):
            if prefix or not has_way_back(self.folder, entry):
                self._discard_link(f"{prefix}{place}")
        status = self._at_origin(entry)
        if status is None or not stat.S_ISLNK(status.st_mode):
            return
        if not self._is_ours(entry, status):
            return
        bucket_fd = self._bucket(entry)
        # It leads nowhere, so it watches nothing: now its text may be read.
        if os.readlink(_name(entry), dir_fd=bucket_fd) == self._text(entry):
            os.unlink(_name(entry), dir_fd=bucket_fd)

    # The end, in two steps

    def take_away(self, entry: str) -> str:
        """First step of the end: no process can come in now. Return what prevents it, or ""."""
        try:
            self._move_link_away(entry, f"{_ENDING}{self._place(entry)}")
        except FileNotFoundError:
            return "its tripwire was taken away"
        except OSError as error:
            self.restore_way(entry)
            return error.strerror or type(error).__name__
        return ""

    def restore_way(self, entry: str) -> None:
        """Put an entry back where the first step has left nothing at its place."""
        with contextlib.suppress(OSError):
            if self._at_origin(entry) is None:
                self.put_back(entry)

    def stayed_silent(self, entry: str) -> bool:
        """Whether no process came in before the first step; look once the wait is over.

        What can't be looked at was not silent.
        """
        try:
            name = f"{_ENDING}{self._place(entry)}"
            ask_server(name, self.folder.fd)
            status = os.stat(name, dir_fd=self.folder.fd, follow_symlinks=False)
        except OSError:
            return False
        return status.st_atime_ns in SILENT_NS

    def condemn(self, entry: str) -> None:
        """Second step: what is left has a name that nothing leads to. Raises OSError."""
        place = self._place(entry)
        condemned = f"{_CONDEMNED}{os.urandom(8).hex()}"
        move_to_free_name(place, self.folder.fd, condemned, self.folder.fd)
        self._discard_link(f"{_ENDING}{place}")

    def delete_condemned(self) -> Removed:
        """Delete everything condemned, also what an earlier deletion left."""
        done = Removed()
        for name in sorted(os.listdir(self.folder.fd)):
            if name.startswith(_CONDEMNED):
                one = remove_tree(self.folder.fd, name, device=self.folder.device)
                done.files += one.files
                done.allocated_bytes += one.allocated_bytes
                done.failures += one.failures
                done.still_open += one.still_open
        return done

    def discard_prepared(self) -> None:
        """Remove links that were prepared, tried or put aside, and then left by a kill."""
        for name in os.listdir(self.folder.fd):
            ended = name.startswith(_ENDING)
            if ended and _is_folder(self.folder.fd, name.removeprefix(_ENDING)):
                # Putting that entry back ends it.
                continue
            leftover = ended or name.startswith((_PREPARED, _TRIED, _OLD))
            entry = entry_on_trial(name)
            if leftover or (entry is not None and not has_way_back(self.folder, entry)):
                self._discard_link(name)
        self.mend_ways_back()

    def mend_ways_back(self) -> None:
        """Finish ways back that a kill left half done; remove those to what is gone."""
        self._has_decoy_of_ways_back = False
        mend_ways_back(self.folder)

    # What the moves are made of

    def _move_link_away(self, entry: str, target: str) -> None:
        """Rename a tripwire into our folder, unless what stands there is not ours."""
        bucket_fd, name = self._bucket(entry), _name(entry)
        self._discard_link(target)
        before = self._at_origin(entry)
        if before is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), entry)
        if self._is_ours(entry, before):
            move_to_free_name(name, bucket_fd, target, self.folder.fd)
            status = os.stat(target, dir_fd=self.folder.fd, follow_symlinks=False)
            if self._is_ours(entry, status):
                return
            move_to_free_name(target, self.folder.fd, name, bucket_fd)
        raise OSError(errno.EBUSY, "something else stands in its place", entry)

    def _is_ours(self, entry: str, status: os.stat_result) -> bool:
        if not stat.S_ISLNK(status.st_mode):
            return False
        trusted = self.folder.trusted
        bucket = os.fstat(self._bucket(entry))
        if _is_sticky(bucket):
            trusted |= {bucket.st_uid}
        return status.st_uid in trusted and status.st_size == len(os.fsencode(self._text(entry)))

    def _at_origin(self, entry: str) -> os.stat_result | None:
        try:
            name, bucket_fd = _name(entry), self._bucket(entry)
            # A spring that another host caused is no news to our client's memory.
            ask_server(name, bucket_fd)
            return os.stat(name, dir_fd=bucket_fd, follow_symlinks=False)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise

    def _discard_link(self, name: str) -> None:
        """Remove a link of this name in our folder; anything else stays."""
        try:
            status = os.stat(name, dir_fd=self.folder.fd, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                os.unlink(name, dir_fd=self.folder.fd)
        except FileNotFoundError:
            pass

    def _try_exchange(self) -> bool:
        first, second = (f"{_TRIED}{os.urandom(8).hex()}" for _ in range(2))
        try:
            for name in (first, second):
                os.symlink(name, name, dir_fd=self.folder.fd)
            return exchange(first, self.folder.fd, second, self.folder.fd)
        finally:
            for name in (first, second):
                self._discard_link(name)

    def _bucket(self, entry: str, *, make: bool = False) -> int:
        bucket = bucket_of(entry)
        fd = self._buckets.get(bucket)
        if fd is not None and os.fstat(fd).st_nlink > 0:
            return fd
        if fd is not None:
            # Deleted since: a bucket of its name may have been made again.
            os.close(self._buckets.pop(bucket))
        try:
            fd = open_directory(bucket, self.folder.cache_fd)
        except FileNotFoundError:
            if not make:
                raise
            fd = self._make_bucket(bucket)
        self._buckets[bucket] = fd
        return fd

    def _make_bucket(self, bucket: str) -> int:
        """Make a bucket again that a user's prune took, with the rights of the cache's root."""
        cache_fd = self.folder.cache_fd
        os.mkdir(bucket, 0o700, dir_fd=cache_fd)
        fd = open_directory(bucket, cache_fd)
        if os.fstat(fd).st_uid == os.geteuid():
            give_rights(fd, rights_below(cache_fd))
        return fd

    def _prepared_name(self, entry: str) -> str:
        place = self._place(entry)
        # A way back leads on until the entry is there itself.
        direct = self.exchanges and not has_way_back(self.folder, entry)
        return place if direct else f"{_PREPARED}{place}"

    def _place(self, entry: str) -> str:
        name = trial_name(entry)
        if name is None:
            raise OSError(errno.EINVAL, "it can't be on trial", entry)
        return name

    def _text(self, entry: str) -> str:
        text = tripwire_text(entry)
        if text is None:
            raise OSError(errno.EINVAL, "it can't be on trial", entry)
        return text


def has_orphans(cache_fd: int) -> bool:
    """Whether a link has the text of a tripwire, in a cache without a folder of ours.

    It leads nowhere, so to read it springs nothing.
    """
    for entry in _links_that_may_be_ours(cache_fd):
        bucket, _, name = entry.partition("/")
        try:
            fd = open_directory(bucket, cache_fd)
        except OSError:
            continue
        try:
            if os.readlink(name, dir_fd=fd) == tripwire_text(entry):
                return True
        except OSError:
            continue
        finally:
            os.close(fd)
    return False


def _links_that_may_be_ours(cache_fd: int) -> list[str]:
    """Return the entries of a cache that are links, in buckets whose entries may be on trial."""
    found = []
    for bucket in sorted(os.listdir(cache_fd)):
        parsed = parse_bucket_name(bucket)
        if parsed is None or parsed[0] not in TRIED_KINDS:
            continue
        try:
            fd = open_directory(bucket, cache_fd)
        except OSError:
            # A link in a bucket's place, or gone meanwhile: nothing of ours is in it.
            continue
        try:
            with os.scandir(fd) as listing:
                links = [f"{bucket}/{one.name}" for one in listing if one.is_symlink()]
        finally:
            os.close(fd)
        found += [entry for entry in links if tripwire_text(entry) is not None]
    return found


def access_is_seen(folder: TrialFolder, look_up: Callable[[str], None] | None = None) -> bool:
    """Whether the kernel moves a link's access time here: planted, touched, looked at.

    Only the very filesystem, through this very mount, can answer. ``look_up`` is given the
    link's name in our folder, to look it up through another mount.
    """
    name = f"{_TRIED}{os.urandom(8).hex()}"
    os.symlink(".", name, dir_fd=folder.fd)
    try:
        os.utime(name, ns=(PAST_NS, PAST_NS), dir_fd=folder.fd, follow_symlinks=False)
        if look_up is None:
            os.stat(name, dir_fd=folder.fd)
        else:
            look_up(name)
        ask_server(name, folder.fd)
        status = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
        return status.st_atime_ns != PAST_NS
    finally:
        os.unlink(name, dir_fd=folder.fd)


def open_content(folder: TrialFolder, entry: str) -> int:
    """Return a descriptor of an entry on trial, by its place. Raises OSError."""
    return open_directory_beneath(folder.fd, trial_name(entry) or os.curdir)


def _name(entry: str) -> str:
    return entry.partition("/")[2]


def _is_folder(folder_fd: int, name: str) -> bool:
    try:
        status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return False
        raise
    return stat.S_ISDIR(status.st_mode)


def _is_sticky(status: os.stat_result) -> bool:
    return bool(status.st_mode & stat.S_ISVTX and status.st_mode & stat.S_IWOTH)


def _words(status: os.stat_result) -> str:
    return f"{kind_words(status.st_mode)} of uid {status.st_uid}"
