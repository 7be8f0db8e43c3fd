"""``--metrics FILE``: one file that says how the last run of a command went.

It is written whatever became of the command, because failures are what alerts
are for. ``last_success`` outlives runs that fail: it is taken over from the
file that is replaced, and vanishes only with that file.

Every sample has the labels command, policy and cache, so that files of
several timers never hold the same series twice (the textfile collector would
drop both). Nothing is labelled by user or path: their number has no bound.
Names are public: docs/operations/README.md lists them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cacheadmin import __version__
from cacheadmin.fs.atomic_file import write_atomically
from cacheadmin.fs.small_files import ReadFailure, read_file
from cacheadmin.operations.account import OUTCOMES, CacheFigures
from cacheadmin.operations.exposition import Sample, exposition, samples_of
from cacheadmin.text.escapes import printable
from cacheadmin.text.timestamps import NANOSECONDS

if TYPE_CHECKING:
    from cacheadmin.operations.account import Account

_MAX_BYTES = 4 * 1024 * 1024
_LAST_SUCCESS = "cacheadmin_last_success_timestamp_seconds"

HELPS = {
    "cacheadmin_info": "The version of cacheadmin that wrote this; always 1.",
    "cacheadmin_last_run_timestamp_seconds": "When the last run ended, in seconds since 1970.",
    "cacheadmin_last_run_duration_seconds": "How long the last run took.",
    "cacheadmin_last_run_exit_code": "Exit code of the last run, see cacheadmin(1).",
    "cacheadmin_last_run_outcome": "1 for the outcome of the last run, 0 for all others.",
    _LAST_SUCCESS: "When a run last did its job, in seconds since 1970.",
    "cacheadmin_verdict": "1 for the verdict on pruning this cache now, 0 for the others.",
    "cacheadmin_lock_wait_seconds": "How long the last prune waited for the cache's lock.",
    "cacheadmin_lock_held_seconds": "How long the last prune held the cache's lock.",
    "cacheadmin_removed_entries": "Entries that the last prune moved to quarantine.",
    "cacheadmin_removed_bytes": "Bytes that come free when these are purged.",
    "cacheadmin_kept_entries": "Entries that a prune keeps.",
    "cacheadmin_deferred_entries": "Entries that the last prune left for a later run.",
    "cacheadmin_failed_entries": "Entries that the last prune could not remove.",
    "cacheadmin_environments": "Environments known, by status.",
    "cacheadmin_links": "Links of environments into the cache.",
    "cacheadmin_broken_links": "Links of environments into the cache that lead nowhere.",
    "cacheadmin_users_without_lock": "Users whose uv takes no cache lock (before 0.8.19).",
    "cacheadmin_findings": "Findings of the audit, by rule and severity.",
    "cacheadmin_quarantine_runs": "Runs that still have something in quarantine.",
    "cacheadmin_quarantine_bytes": "Bytes that lie in quarantine, as measured when moved.",
    "cacheadmin_trial_entries": "Entries that are on trial.",
    "cacheadmin_trial_bytes": "Bytes that come free when their trials end, as measured then.",
    "cacheadmin_trial_came_back": "Entries that came back from trial because they were used.",
    "cacheadmin_host_standing": "1 for how far another host can be relied on, 0 for the others.",
    "cacheadmin_host_observed_timestamp_seconds": "When another host told of itself, by its clock.",
    "cacheadmin_host_environments": "Environments that another host looked at.",
    "cacheadmin_host_uses": "Environments and processes of another host that use the cache.",
    "cacheadmin_host_gaps": "Places where another host could not look.",
}


def write_metrics(account: Account, path: str) -> None:
    """Replace a metrics file, mode 0644.

    Raises CacheadminError where it can't be written; nothing is changed then.
    """
    looks = account.looks or [CacheFigures(account.policy, account.cache, reached=False)]
    samples = [sample for look in looks for sample in _of_look(account, look)]
    samples += _earlier_successes(account, looks, path)
    write_atomically(path, exposition(samples, HELPS).encode(), 0o644)


def _of_look(account: Account, look: CacheFigures) -> Iterator[Sample]:
    labels = _labels(account, look)
    ended = account.ended_ns / NANOSECONDS
    yield Sample("cacheadmin_info", 1, {**labels, "version": __version__})
    yield Sample("cacheadmin_last_run_timestamp_seconds", round(ended, 3), labels)
    duration = round(account.duration_seconds, 6)
    yield Sample("cacheadmin_last_run_duration_seconds", duration, labels)
    yield Sample("cacheadmin_last_run_exit_code", account.exit_code, labels)
    for outcome in OUTCOMES:
        happened = float(account.outcome == outcome)
        yield Sample("cacheadmin_last_run_outcome", happened, {**labels, "outcome": outcome})
    if account.succeeded and look.reached:
        yield Sample(_LAST_SUCCESS, round(ended, 3), labels)
    for sample in look.samples:
        yield Sample(sample.metric, sample.value, {**labels, **sample.labels})


def _earlier_successes(account: Account, looks: list[CacheFigures], path: str) -> Iterator[Sample]:
    """Yield from the old file when what failed now was last well."""
    failed = [look for look in looks if not (account.succeeded and look.reached)]
    content = read_file(path, _MAX_BYTES) if failed else b""
    if isinstance(content, ReadFailure):
        return
    again = [{**_labels(account, look)} for look in looks if look not in failed]
    # A policy that can't be read may go by another name than its file.
    anybody = any(not look.cache for look in failed)
    names = {printable(look.policy) for look in failed}
    for sample in samples_of(content.decode("utf-8", "replace"), _LAST_SUCCESS):
        known = sample.labels.keys() == {"command", "policy", "cache"}
        if not known or sample.labels["command"] != account.command or sample.labels in again:
            continue
        if anybody or sample.labels["policy"] in names:
            yield sample


def _labels(account: Account, look: CacheFigures) -> dict[str, str]:
    # As they come back from the file, so that both can be compared.
    names = {"command": account.command, "policy": look.policy, "cache": look.cache}
    return {key: printable(value) for key, value in names.items()}
