"""The sentences that reports share, on a terminal and on a page. Names in them are not escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import LinkMode
from cacheadmin.report.terminal import Style
from cacheadmin.text.numbers import format_count
from cacheadmin.text.sizes import format_size
from cacheadmin.text.timestamps import rfc3339

if TYPE_CHECKING:
    from cacheadmin.overview.facts import CacheReport, Goal, PastRun, ReleaseInUse
    from cacheadmin.trial.summary import TrialSummary

VERDICT_STYLES = {"safe": Style.GOOD, "limited": Style.WARN, "refused": Style.BAD}
SEVERITY_STYLES = {"error": Style.BAD, "warning": Style.WARN, "info": Style.FAINT}

_MODE_WORDS = {
    LinkMode.SYMLINK: "symlinked",
    LinkMode.HARDLINK: "hardlinked",
    LinkMode.CLONE: "cloned",
    LinkMode.COPY: "copied",
}


def going_words(overview: CacheReport) -> str:
    """Return what a prune would do now, in a sentence."""
    if overview.verdict.value == "refused":
        return "a prune would change nothing now"
    if not overview.going.entries:
        return "nothing to remove now"
    entries = format_count(overview.going.entries, "entry", "entries")
    freed = format_size(overview.going.size.reclaimable_bytes)
    return f"a prune would remove {entries} and free {freed}"


def goal_words(goal: Goal) -> str:
    """Return how a size stands to what the policy's budget asks for."""
    if goal.unit == "files":
        value, wanted = f"{goal.value:,}", f"{goal.goal:,} files"
    else:
        value, wanted = format_size(goal.value), format_size(goal.goal)
    if goal.at_least:
        return f"{value} free, {wanted} wanted" + ("" if goal.is_met else ": too little")
    return f"{value} of {wanted}" + ("" if goal.is_met else ": over budget")


def growth_words(overview: CacheReport) -> str:
    """Return how the size changed since the first record; empty for one record."""
    if len(overview.history) < 2:
        return ""
    first, last = overview.history[0], overview.history[-1]
    change = last.allocated_bytes - first.allocated_bytes
    sign = "+" if change >= 0 else "-"
    return f"{sign}{format_size(abs(change))} since {rfc3339(first.taken_ns)[:10]}"


def links_words(overview: CacheReport) -> str:
    """Return how many installed distributions are linked in which way."""
    environments = format_count(len(overview.environments), "environment")
    modes = [
        f"{number:,} {_MODE_WORDS[mode]}" for mode, number in overview.link_modes.items() if number
    ]
    if not modes:
        return f"{environments}, no installed distribution came from here"
    return f"{environments}; distributions in them: {', '.join(modes)}"


def release_words(release: ReleaseInUse) -> str:
    """Return who uses a release, and whether it can harm the others."""
    users = list(release.users[:4])
    if len(release.users) > 4:
        users.append(f"and {len(release.users) - 4} more")
    lock = "" if release.takes_cache_lock is not False else "; takes no cache lock"
    return f"{', '.join(users)}; last seen {rfc3339(release.seen_ns)[:10]}{lock}"


def quarantine_words(overview: CacheReport) -> str:
    """Return what waits in quarantine, and until when it can be put back."""
    quarantine = overview.quarantine
    if quarantine.unread:
        return f"can't be read: {quarantine.unread}"
    waiting = quarantine.waiting
    if not waiting:
        return "empty" if quarantine.runs else "nothing was pruned yet"
    until = rfc3339(min(run.until_ns or 0 for run in waiting))[:10]
    size = sum(run.size_bytes for run in waiting)
    held = f", {format_size(size)}" if size else ""
    return f"{format_count(len(waiting), 'run')}{held} can be undone; the first until {until}"


def trial_summary_words(trial: TrialSummary) -> str:
    """Return what is on trial, until when, and what came back."""
    parts = []
    if trial.first_end_ns is not None:
        entries = format_count(trial.entries, "entry", "entries")
        end = rfc3339(trial.first_end_ns)[:10]
        parts.append(f"{entries}, {format_size(trial.bytes)}; the first trial ends {end}")
    if trial.came_back:
        parts.append(f"{format_count(trial.came_back, 'entry', 'entries')} came back in use")
    return "; ".join(parts)


def run_words(run: PastRun) -> str:
    """Return what a past prune moved, and whether it can be undone."""
    size = f", {format_size(run.size_bytes)}" if run.size_bytes else ""
    undo = f"; `runs restore` until {rfc3339(run.until_ns)[:10]}" if run.until_ns else ""
    return f"{run.state}: {format_count(run.entries, 'entry', 'entries')}{size} on {run.host}{undo}"
