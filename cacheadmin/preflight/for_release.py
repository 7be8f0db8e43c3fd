"""May I run `uv cache prune` of this release here? The checks of ``preflight --for-uv``.

uv's own prune knows nothing of the policy: it is refused when it would break
an environment, delete outside the cache, or end with an error; limited when it
deletes buckets that others need, which costs them a download.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cacheadmin.planner.bucket_needs import bucket_needs
from cacheadmin.planner.plan import Verdict
from cacheadmin.planner.words import describe_user
from cacheadmin.preflight.checks import Check, CheckStatus
from cacheadmin.preflight.preflight import Preflight
from cacheadmin.simulate.on_policy import simulate_in
from cacheadmin.text.lists import join_some
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.simulate.on_policy import SimulationAnswer
    from cacheadmin.snapshot.snapshot import Snapshot


def run_preflight_for_release(snapshot: Snapshot, uv: str) -> Preflight:
    """Answer whether `uv cache prune` of a release (number or binary) may be run here.

    Raises WrongUsage for a release nothing is known of.
    """
    answer = simulate_in(snapshot, uv)
    verdict, checks = _checks(answer)
    removals = len(answer.simulation.removals)
    return Preflight(
        verdict=verdict,
        checks=checks,
        removals={"entries": removals},
        kept=0,
        summary=f"{verdict.value}: `uv cache prune` of uv {answer.simulation.version} would "
        f"remove {format_count(removals, 'entry', 'entries')} and break "
        f"{format_count(len(answer.broken.environments), 'environment')}",
    )


def _checks(answer: SimulationAnswer) -> tuple[Verdict, tuple[Check, ...]]:
    """Return the verdict on a release's own prune, and the checks behind it."""
    checks = (
        *_environments(answer),
        *_processes(answer),
        *_outside(answer),
        *_buckets(answer),
        *_lock(answer),
        *_failure(answer),
    )
    statuses = {check.status for check in checks}
    if CheckStatus.FAIL in statuses:
        return Verdict.REFUSED, checks
    return (Verdict.LIMITED if CheckStatus.WARN in statuses else Verdict.SAFE), checks


def _environments(answer: SimulationAnswer) -> Iterator[Check]:
    title = "Environments it would break"
    user = answer.snapshot.case.user
    broken = answer.broken.environments
    if not broken:
        yield Check("uv.breaks", CheckStatus.PASS, title, "none of those that were seen")
        return
    named = join_some(
        [f"{b.path} ({user(b.uid)}, {format_count(b.links, 'link')})" for b in broken]
    )
    yield Check(
        "uv.breaks",
        CheckStatus.FAIL,
        title,
        f"{len(broken)}: " + ", ".join(named),
        "use `cacheadmin prune` instead, which keeps what they link",
    )


def _processes(answer: SimulationAnswer) -> Iterator[Check]:
    title = "Processes it would break"
    user = answer.snapshot.case.user
    running = answer.broken.processes
    if not running:
        yield Check("uv.processes", CheckStatus.PASS, title, "none of those that were seen")
        return
    named = join_some([f"{p.pid} ({user(p.uid)}, {p.command})" for p in running])
    yield Check("uv.processes", CheckStatus.FAIL, title, ", ".join(named), "wait until they end")


def _outside(answer: SimulationAnswer) -> Iterator[Check]:
    outside = answer.simulation.outside
    if outside:
        yield Check(
            "uv.outside",
            CheckStatus.FAIL,
            "Deletion outside the cache",
            "by following links it would delete " + ", ".join(join_some(list(outside))),
            "remove these links; releases from 0.11.20 on don't follow them",
        )


def _buckets(answer: SimulationAnswer) -> Iterator[Check]:
    title = "Buckets that others need"
    needs = bucket_needs(answer.snapshot.case)
    gone = [name for name in answer.simulation.removals if name in needs]
    if not gone:
        yield Check("uv.buckets", CheckStatus.PASS, title, "it would delete none of them")
        return
    told = [
        f"{name} ({', '.join(join_some([describe_user(n.user) for n in needs[name]]))})"
        for name in gone
    ]
    yield Check(
        "uv.buckets",
        CheckStatus.WARN,
        title,
        "it would delete " + ", ".join(join_some(told)),
        "their owners would download and build again what is in them",
    )


def _lock(answer: SimulationAnswer) -> Iterator[Check]:
    if answer.simulation.unlinks_lock:
        yield Check(
            "uv.lock",
            CheckStatus.WARN,
            "Cache lock",
            "it would delete .lock under the hands of those who hold it",
            "releases from 0.8.19 on leave it in place",
        )


def _failure(answer: SimulationAnswer) -> Iterator[Check]:
    if answer.simulation.failure:
        yield Check(
            "uv.failure",
            CheckStatus.FAIL,
            "It would end with an error",
            answer.simulation.failure,
            "use `cacheadmin prune` instead",
        )
