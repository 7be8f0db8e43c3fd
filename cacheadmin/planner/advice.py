"""What would have to change for an entry to go, or to stay: a sentence a rule. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.text.escaping import shell_word

if TYPE_CHECKING:
    from cacheadmin.planner.marks import Use

# {who} is the user of the entry as marks name them.
_TO_LET_GO = {
    "archive.linked": "{who} would have to go, or be installed with `uv --link-mode copy`",
    "archive.remembered": "`cacheadmin venv remove` for {who}, if it is gone for good; or a "
    "shorter venvs.keep_missing",
    "archive.referenced": "its pointer {who} would have to go: with a bucket that nobody needs "
    "any more, or by prune.unused.after when nobody has used the wheel for long",
    "archive.cached_environment": "{who} would have to go: see `cacheadmin explain` for it",
    "archive.policy": "another prune.keep or prune.archives in the policy",
    "archive.young": "it has to become an hour old",
    "archive.unseen": "{who} has to be readable: run it as root, or as its owner",
    "archive.gap": "that gap has to be closed: `cacheadmin preflight` says how",
    "entry.named": "{who} would have to name it no more",
    "archive.lock_free_uv": "{who} has to end, or its user to upgrade to uv 0.8.19 or later",
    "archive.unknown_bucket": "teach it the release that writes {who}: `cacheadmin uv learn`",
    "archive.unknown_pointer": "teach it the release of that pointer: `cacheadmin uv learn`",
    "archive.unreadable_pointer": "{who} has to be readable: run it as root",
    "process.running": "{who} has to end",
    "host.observed": "{who} would have to use it no more, and that host to observe again; or "
    "`cacheadmin observe --forget`, if the host is gone for good",
    "bucket.needed": "{who} would have to use another release, or none within uv.active_within",
    "bucket.shared": "it never goes: every uv release uses it",
    "bucket.unreadable": "{who} has to be readable: run it as root",
    "bucket.unknown": "teach it the release that writes it: `cacheadmin uv learn`",
    "bucket.in_use": "the environments in it would have to be unused and idle",
    "bucket.environments": "the trials of its environments would have to end without a use",
    "bucket.on_trial": "the trials of its environments would have to end without a use",
    "bucket.policy": "prune.buckets in the policy would have to be unneeded",
    "wheel.bucket_kept": "its bucket would have to be needed by nobody; or prune.unused.after be "
    "set, and the wheel unused for that long",
    "revision.current": "a newer revision of the same source would have to take its place; or "
    "prune.unused.after be set, and what was built from it unused for that long",
    "git.used": "everything that was built from it would have to be unused",
    "git.recent": "prune.unused.after would have to be set, and be over for it",
    "git.unknown_bucket": "teach it the release that writes {who}: `cacheadmin uv learn`",
    "revision.unknown_bucket": "teach it the release that writes {who}: `cacheadmin uv learn`",
    "revision.unnamed": "uv names no current revision beside it, so it stays",
    "revision.policy": "prune.revisions in the policy would have to be true",
    "revision.lock_free_uv": "{who} has to end",
    "environment.linked": "{who} would have to go",
    "environment.registered": "`cacheadmin venv remove` for {who}",
    "environment.policy": "prune.environments in the policy would have to allow it",
    "environment.recent": "it would have to stay unchanged for prune.environments.idle",
    "environment.latest": "a newer environment of that tool, or prune.environments.keep_latest "
    "false",
    "environment.no_trial": "venvs.complete: true in the policy, with no gap left",
    "environment.unseen": "run it as root, which sees all processes",
    "environment.other_hosts": "a cache whose locks reach every host",
    "build.recent": "it would have to stay unchanged for prune.builds.after",
    "build.unseen": "run it as root, which sees all processes",
    "build.other_hosts": "a cache whose locks reach every host",
    "stray.unknown": "it is not uv's: only its owner can say, and remove it",
    "stray.recent": "it would have to stay unchanged for prune.builds.after",
    "limits.run": "nothing: the next run removes it",
}

# Buckets are needed by more than people.
_SPECIAL = {
    ("bucket.needed", "cache"): "a newer bucket of its kind would have to appear",
    ("bucket.needed", "policy"): "uv.keep in the policy would have to name that release no more",
}


def to_let_go(use: Use, target: str) -> str:
    """Return what would have to change for one use to end; empty where nobody can tell."""
    if use.rule.endswith(".pinned"):
        return f"`cacheadmin pin remove` for it, or the pin's end ({use.reason})"
    if (use.rule, use.who) in _SPECIAL:
        return _SPECIAL[use.rule, use.who]
    sentence = _TO_LET_GO.get(use.rule, "")
    return sentence.format(who=use.who or target)


def to_keep(path: str) -> str:
    """Return what would have to change for an entry to stay."""
    return (
        f"`cacheadmin pin add POLICY {shell_word(path)}`, or an environment that links to it: "
        "`cacheadmin venv add` makes one known"
    )
