"""Every reason for which the planner keeps or removes an entry: one table.

The ids are public: they stand in JSON, in journals and in the manual. A rule
takes a reason from here and adds the user and a detail of this case; the sentence is
made of them when it is printed (`planner.words`). ``explain`` says what would change it;
``plan --list-rules`` and the manual print the table.
"""

from __future__ import annotations

from typing import Final

from cacheadmin.inventory.entries import EntryKind
from cacheadmin.values import frozen


@frozen
class Reason:
    """One reason. Two with the same id are the same reason."""

    id: str
    """Stable name: what it is about, a dot, and what was found."""
    keeps: bool
    """Whether it keeps an entry; else it removes one."""
    means: str
    """What it says of an entry, as a sentence without a subject."""
    found: str
    """What was found in one case, as a sentence.

    ``{who}`` is the user of the mark in words, ``{user}`` its value (`planner.users`),
    ``{detail}`` what the rule adds.
    """
    change: str = ""
    """What has to change for the entry to be removed; ``{who}`` is the user of the mark."""
    leads: bool = False
    """Whether it merely leads there from inside the cache: that is no use."""

    def __hash__(self) -> int:
        return hash(self.id)


#: Why an entry is given up: the reason, and the detail of this case (`Reason.found`).
Why = tuple[Reason, str]

REASONS: Final[dict[str, Reason]] = {}


def _keeps(name: str, means: str, found: str, change: str, *, leads: bool = False) -> Reason:
    return _added(Reason(name, True, means, found, change, leads))


def _removes(name: str, means: str, found: str) -> Reason:
    return _added(Reason(name, False, means, found))


def _added(reason: Reason) -> Reason:
    if REASONS.setdefault(reason.id, reason) is not reason:
        raise ValueError(f"two reasons have the id {reason.id}")
    return reason


_LEARN = "teach it the release that writes {who}: `cacheadmin uv learn`"
_READABLE = "{who} has to be readable: run it as root"
_ALL_PROCESSES = "run it as root, which sees all processes"
_LOCKS = "a cache whose locks reach every host"
_TRIALS = "the trials of its environments would have to end without a use"
_UNCHANGED = "it would have to stay unchanged for prune.builds.after"

# Archives that stay

ARCHIVE_LINKED = _keeps(
    "archive.linked",
    "An environment links to it.",
    "an environment links to it",
    "{who} would have to go, or be installed with `uv --link-mode copy`",
)
ARCHIVE_REMEMBERED = _keeps(
    "archive.remembered",
    "An environment that is not to be found on this host now linked to it within "
    "venvs.keep_missing, or its whole home or disk is away.",
    "an environment not found on this host linked to it {detail} ago",
    "`cacheadmin venv remove` for {who}, if it is gone for good; or a shorter venvs.keep_missing",
)
ARCHIVE_REFERENCED = _keeps(
    "archive.referenced",
    "A pointer or a source revision in a bucket that stays leads to it.",
    "{detail} points to it",
    "its pointer {who} would have to go: with a bucket that no user needs any more, or by "
    "prune.unused.after when no user has used the wheel for long",
    leads=True,
)
ARCHIVE_CACHED_ENVIRONMENT = _keeps(
    "archive.cached_environment",
    "A cached environment that is in use links to it, or extends it.",
    "a cached environment in use needs it",
    "{who} would have to go: see `cacheadmin explain` for it",
)
ARCHIVE_POLICY = _keeps(
    "archive.policy",
    "prune.keep names its package, or prune.archives is false.",
    "{detail}",
    "another prune.keep or prune.archives in the policy",
)
ARCHIVE_YOUNG = _keeps(
    "archive.young",
    "It is under an hour old, and an installer on another host whose lock does not show may be "
    "about to point to it.",
    "it is under an hour old, and an installer on another host may be about to point to it",
    "it has to become an hour old",
)
ARCHIVE_CONTENT_MADE = _keeps(
    "archive.content_made",
    "Its id is made from its content: uv can find it without a pointer, and it can't go on trial.",
    "its id is made from its content, so a uv can find it without a pointer, and it can't be "
    "tried: it is removed where no user can be overlooked (venvs.complete, and no gap)",
    "venvs.complete: true in the policy, with no gap left",
)
ARCHIVE_UNKNOWN_POINTER = _keeps(
    "archive.unknown_pointer",
    "A pointer of its package has a shape that no known uv release writes.",
    "a pointer of {who} has a shape no known uv release writes and may name it",
    "teach it the release of that pointer: `cacheadmin uv learn`",
)
ARCHIVE_UNSEEN = _keeps(
    "archive.unseen",
    "An environment, a process or a place could not be looked at, and could use any archive.",
    "{who} could not be read ({detail}) and could use any archive",
    "{who} has to be readable: run it as root, or as its owner",
)
ARCHIVE_GAP = _keeps(
    "archive.gap",
    "A place where a user may be was not looked at, and nothing can go on trial here.",
    "{detail}",
    "that gap has to be closed: `cacheadmin preflight` says how",
)
ARCHIVE_LOCK_FREE_UV = _keeps(
    "archive.lock_free_uv",
    "A uv that takes no lock, or of unknown release, is running.",
    "{detail} is running and takes no cache lock: it may be about to use any archive",
    "{who} has to end, or its user to upgrade to uv 0.8.19 or later",
)
ARCHIVE_UNKNOWN_BUCKET = _keeps(
    "archive.unknown_bucket",
    "A bucket is of a kind or version that no known uv release writes, and could name any archive.",
    "{who} is of a {detail} no known uv release writes and could name any archive",
    _LEARN,
)
ARCHIVE_UNREADABLE_POINTER = _keeps(
    "archive.unreadable_pointer",
    "Something among the pointers could not be read, and could name any archive.",
    "{detail} and could name any archive",
    _READABLE,
)

# Any entry that stays

PROCESS_RUNNING = _keeps(
    "process.running",
    "A running process uses it: its program, a library, an open file or its folder lies there.",
    "a running process uses it ({detail})",
    "{who} has to end",
)
ENTRY_NAMED = _keeps(
    "entry.named",
    "A file outside of the cache names it: a kernel, a unit, a crontab or a path file; or a table "
    "of mounts, since a mount shows it by itself.",
    "a file outside the cache names it",
    "{who} would have to name it no more",
)
HOST_OBSERVED = _keeps(
    "host.observed",
    "Another host has told that it is used there.",
    "host {user.host} saw it in use {detail} ago",
    "{who} would have to use it no more, and that host to observe again; or "
    "`cacheadmin observe --forget`, if the host is gone for good",
)
TRIAL_SPRUNG = _keeps(
    "trial.sprung",
    "It was used while it was on trial, by a user whom no source knows.",
    "it was used {detail} ago while it was on trial, by a user whom no source knows",
    "uv.active_within would have to be over since that use, and prune.trial.for where its place "
    "on trial may be known",
)
LIMITS_RUN = _keeps(
    "limits.run",
    "prune.limits leaves it to the next run.",
    "prune.limits leaves it to the next run",
    "nothing: the next run removes it",
)

# Buckets that stay

BUCKET_NEEDED = _keeps(
    "bucket.needed",
    "A uv release that is in use within uv.active_within, or that uv.keep names, has it; it was "
    "written within that time; it is the newest of its kind; or it alone names an environment.",
    "{who} {detail}",
    "{who} would have to use another release, or none within uv.active_within",
)
BUCKET_SHARED = _keeps(
    "bucket.shared",
    "Every uv release uses it.",
    "all releases share it",
    "it never goes: every uv release uses it",
)
BUCKET_UNREADABLE = _keeps(
    "bucket.unreadable",
    "Something in it could not be read: who writes there is unknown.",
    "{detail}: who writes there is unknown",
    _READABLE,
)
BUCKET_UNKNOWN = _keeps(
    "bucket.unknown",
    "No known uv release writes it.",
    "no known uv release writes it: teach it with `cacheadmin uv learn`",
    "teach it the release that writes it: `cacheadmin uv learn`",
)
BUCKET_IN_USE = _keeps(
    "bucket.in_use",
    "A cached environment in it is in use.",
    "an environment in it is in use",
    "the environments in it would have to be unused and idle",
)
BUCKET_ENVIRONMENTS = _keeps(
    "bucket.environments",
    "No release in use has it, but its environments go on trial one by one first.",
    "no uv release in use has it, but its environments go on trial one by one",
    _TRIALS,
)
BUCKET_ON_TRIAL = _keeps(
    "bucket.on_trial",
    "No release in use has it, but tripwires of environments on trial stand in it.",
    "no uv release in use has it, but it holds tripwires of environments on trial",
    _TRIALS,
)
BUCKET_POLICY = _keeps(
    "bucket.policy",
    "prune.buckets is never.",
    "prune.buckets is never",
    "prune.buckets in the policy would have to be unneeded",
)

# Pointers, revisions and git sources that stay

WHEEL_BUCKET_KEPT = _keeps(
    "wheel.bucket_kept",
    "It is a pointer in a bucket that stays.",
    "{detail} is kept",
    "no user may need its bucket any more; or prune.unused.after be set, and the wheel "
    "unused for that long",
    leads=True,
)
REVISION_CURRENT = _keeps(
    "revision.current",
    "It is the current revision of its source.",
    "it is the current revision",
    "a newer revision of the same source would have to take its place; or prune.unused.after be "
    "set, and what was built from it unused for that long",
)
REVISION_UNNAMED = _keeps(
    "revision.unnamed",
    "No revision file beside it says which one is current, or it can't be understood.",
    "{detail}",
    "uv names no current revision beside it, so it stays",
)
REVISION_UNKNOWN_BUCKET = _keeps(
    "revision.unknown_bucket",
    "Its bucket belongs to no known uv release.",
    "its bucket belongs to no known uv release: what lies in it is not judged",
    _LEARN,
)
REVISION_POLICY = _keeps(
    "revision.policy",
    "prune.revisions is false.",
    "prune.revisions is false",
    "prune.revisions in the policy would have to be true",
)
REVISION_LOCK_FREE_UV = _keeps(
    "revision.lock_free_uv",
    "A uv that takes no lock is running, and may be building in it.",
    "a uv that takes no lock may be building in it",
    "{who} has to end",
)
GIT_USED = _keeps(
    "git.used",
    "What was built from it is used, or may be.",
    "{detail} is used, or may be",
    "everything that was built from it would have to be unused",
)
GIT_RECENT = _keeps(
    "git.recent",
    "No user uses what was built from it, but not for prune.unused.after.",
    "no user was seen to use what was built from it, but not for prune.unused.after",
    "prune.unused.after would have to be set, and be over for it",
)
GIT_UNKNOWN_BUCKET = _keeps(
    "git.unknown_bucket",
    "Its bucket belongs to no known release.",
    "its bucket belongs to no known uv release: what lies in it is not judged",
    _LEARN,
)

# Cached environments that stay

ENVIRONMENT_LINKED = _keeps(
    "environment.linked",
    "A project uses it as its environment.",
    "a project uses it as its environment",
    "{who} would have to go",
)
ENVIRONMENT_REGISTERED = _keeps(
    "environment.registered",
    "The registry, the policy or the memory of earlier runs names it.",
    "it is registered",
    "`cacheadmin venv remove` for {who}",
)
ENVIRONMENT_POLICY = _keeps(
    "environment.policy",
    "prune.environments is never.",
    "prune.environments is never",
    "prune.environments in the policy would have to allow it",
)
ENVIRONMENT_RECENT = _keeps(
    "environment.recent",
    "It was made or changed within prune.environments.idle.",
    "it was made or changed {detail} ago",
    "it would have to stay unchanged for prune.environments.idle",
)
ENVIRONMENT_LATEST = _keeps(
    "environment.latest",
    "It is the newest environment of its tool or script.",
    "it is the newest environment of {detail}",
    "a newer environment of that tool, or prune.environments.keep_latest false",
)
ENVIRONMENT_NO_TRIAL = _keeps(
    "environment.no_trial",
    "Its name is too long to go on trial.",
    "its name is too long for a trial: it is removed where no user can be overlooked "
    "(venvs.complete, and no gap)",
    "venvs.complete: true in the policy, with no gap left",
)
ENVIRONMENT_UNSEEN = _keeps(
    "environment.unseen",
    "Not all processes could be looked at: one may run from it.",
    "not all processes could be looked at ({detail})",
    _ALL_PROCESSES,
)
ENVIRONMENT_OTHER_HOSTS = _keeps(
    "environment.other_hosts",
    "A process of another host may run from it, and locks don't reach there.",
    "processes of other hosts can't be seen, and locks don't reach them",
    _LOCKS,
)

# Temporary folders, contents and strays that stay

BUILD_RECENT = _keeps(
    "build.recent",
    "It was changed within prune.builds.after.",
    "it was changed {detail} ago",
    _UNCHANGED,
)
BUILD_UNSEEN = _keeps(
    "build.unseen",
    "Not all processes could be looked at: one may be in it.",
    "not all processes could be looked at",
    _ALL_PROCESSES,
)
BUILD_OTHER_HOSTS = _keeps(
    "build.other_hosts",
    "A process of another host may be in it: that host has not told since, or locks don't reach "
    "there.",
    "processes of other hosts can't be seen, and none of them was told of since it was changed",
    "`cacheadmin observe` on every host that hosts.expect names; and a cache whose locks reach "
    "every host",
)
FILE_RECENT = _keeps(
    "file.recent",
    "It was stored, or lost its last sharer, within prune.builds.after.",
    "it was stored, or lost its last sharer, {detail} ago",
    _UNCHANGED,
)
FILE_BESIDE = _keeps(
    "file.beside",
    "A uv that the lock does not keep out may be about to link it.",
    "a uv that is not kept out by the lock may be about to link it",
    "that uv has to end",
)
FILE_OTHER_HOSTS = _keeps(
    "file.other_hosts",
    "An installation on another host may be about to link it, and locks don't reach there.",
    "an install on another host may be about to link it, and locks don't reach there",
    _LOCKS,
)
STRAY_UNKNOWN = _keeps(
    "stray.unknown",
    "It is not uv's, so not ours to remove.",
    "{detail}: not uv's, so not ours to remove",
    "it is not uv's: only its owner can say, and remove it",
)
STRAY_RECENT = _keeps(
    "stray.recent",
    "It is rubbish, and was changed within prune.builds.after where a uv without a lock may be "
    "at work, here or on another host.",
    "{detail} ago",
    _UNCHANGED,
)

# Pins, a reason for each kind of entry

PINNED: Final = {
    kind: _keeps(
        f"{kind.value}.pinned",
        "A pin names it, its package, or what leads to it.",
        "{detail}",
        "`cacheadmin pin remove` for it, or the pin's end",
    )
    for kind in EntryKind
}
PIN_UNREAD: Final = {
    kind: _keeps(
        f"{kind.value}.pin_unread",
        "A pin of an administrator, or a folder of pins, can't be read: it may name anything.",
        "the pin {who} can't be read ({detail}) and may name it",
        "{who} has to be readable, or `cacheadmin pin remove` for it",
    )
    for kind in EntryKind
}

# What goes

BUCKET_UNNEEDED = _removes(
    "bucket.unneeded",
    "No uv release in use has this bucket.",
    "no uv release in use has it{detail}",
)
ARCHIVE_UNREFERENCED = _removes(
    "archive.unreferenced",
    "Nothing in the cache leads to it, and no environment or process was seen to use it.",
    "nothing in the cache leads to it, and no environment or process uses it",
)
ARCHIVE_POINTERS_GONE = _removes(
    "archive.pointers_gone",
    "Only what is removed as well led to it, and nothing was seen to use it.",
    "only {detail}, removed as well, led to it; nothing uses it",
)
WHEEL_UNUSED = _removes(
    "wheel.unused",
    "Nothing was seen to use its archive for prune.unused.after.",
    "no environment or process has used it for {detail} d, as far as was observed",
)
WHEEL_OVER_BUDGET = _removes(
    "wheel.over_budget",
    "Nothing uses its archive, and the cache is over prune.budget.",
    "not in use, and the cache is over prune.budget: least recently used first",
)
ARCHIVE_UNUSED = _removes(
    "archive.unused",
    "Nothing was seen to use it for prune.unused.after; its pointers go first.",
    "no environment or process has used it for {detail} d, as far as was observed",
)
ARCHIVE_OVER_BUDGET = _removes(
    "archive.over_budget",
    "Nothing uses it, and the cache is over prune.budget; its pointers go first.",
    "not in use, and the cache is over prune.budget: least recently used first",
)
REVISION_SUPERSEDED = _removes(
    "revision.superseded",
    "A newer revision of the same source has taken its place.",
    "a newer revision of the same source has taken its place",
)
REVISION_UNUSED = _removes(
    "revision.unused",
    "Nothing built from it was seen in use for prune.unused.after.",
    "nothing built from it has been used for {detail} d, as far as was observed",
)
REVISION_OVER_BUDGET = _removes(
    "revision.over_budget",
    "Nothing uses what was built from it, and the cache is over budget.",
    "no user uses what was built from it, and the cache is over prune.budget",
)
SOURCE_OVER_BUDGET = _removes(
    "source.over_budget",
    "uv installs as before without this part of a revision, and the cache is over prune.budget.",
    "{detail}, and the cache is over prune.budget",
)
GIT_UNUSED = _removes(
    "git.unused",
    "Nothing built from it was seen in use for prune.unused.after.",
    "nothing built from it has been used for {detail} d, as far as was observed",
)
GIT_OVER_BUDGET = _removes(
    "git.over_budget",
    "Nothing uses what was built from it, and the cache is over prune.budget.",
    "no user uses what was built from it, and the cache is over prune.budget",
)
ENVIRONMENT_IDLE = _removes(
    "environment.idle",
    "No process or project was seen to use it, and it is older than prune.environments.idle.",
    "no process or project uses it, unchanged for {detail}",
)
BUILD_ABANDONED = _removes(
    "build.abandoned",
    "It was left behind, is older than prune.builds.after, and no process is in it.",
    "left behind, unchanged for {detail}, and no process is in it",
)
FILE_UNSHARED = _removes(
    "file.unshared",
    "No archive and no environment has shared it for prune.builds.after.",
    "no archive and no environment has shared it for {detail}",
)
STRAY_RUBBISH = _removes(
    "stray.rubbish", "It is what is left of something uv never finished.", "{detail}"
)
EVICTED: Final = {
    name: _removes(
        f"evict.{name}", f"`cacheadmin evict` was asked for its package: {what}.", "{detail}"
    )
    for name, what in (
        ("archive", "the archive itself"),
        ("environment", "a cached environment that has it, or what leads to one"),
        ("pointer", "a pointer by which uv would install it again"),
        ("source", "what it was built from"),
    )
}
