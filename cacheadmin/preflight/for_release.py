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
from cacheadmin.preflight.checks import Check, Status
from cacheadmin.text.counting import format_count
from cacheadmin.text.joining import join_some

if TYPE_CHECKING:
    from cacheadmin.simulate.running import Answer


def release_checks(answer: Answer) -> tuple[Verdict, tuple[Check, ...]]:
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
    if Status.FAIL in statuses:
        return Verdict.REFUSED, checks
    return (Verdict.LIMITED if Status.WARN in statuses else Verdict.SAFE), checks


def _environments(answer: Answer) -> Iterator[Check]:
    title = "Environments it would break"
    user = answer.situation.case.user
    broken = answer.broken.environments
    if not broken:
        yield Check("uv.breaks", Status.PASS, title, "none of those that were seen")
        return
    named = join_some(
        [f"{b.path} ({user(b.uid)}, {format_count(b.links, 'link')})" for b in broken]
    )
    yield Check(
        "uv.breaks",
        Status.FAIL,
        title,
        f"{len(broken)}: " + ", ".join(named),
        "use `cacheadmin prune` instead, which keeps what they link",
    )


def _processes(answer: Answer) -> Iterator[Check]:
    title = "Processes it would break"
    user = answer.situation.case.user
    running = answer.broken.processes
    if not running:
        yield Check("uv.processes", Status.PASS, title, "none of those that were seen")
        return
    named = join_some([f"{p.pid} ({user(p.uid)}, {p.command})" for p in running])
    yield Check("uv.processes", Status.FAIL, title, ", ".join(named), "wait until they end")


def _outside(answer: Answer) -> Iterator[Check]:
    outside = answer.simulation.outside
    if outside:
        yield Check(
            "uv.outside",
            Status.FAIL,
            "Deletion outside the cache",
            "by following links it would delete " + ", ".join(join_some(list(outside))),
            "remove these links; releases from 0.11.20 on don't follow them",
        )


def _buckets(answer: Answer) -> Iterator[Check]:
    title = "Buckets that others need"
    needs = bucket_needs(answer.situation.case)
    gone = [name for name in answer.simulation.removals if name in needs]
    if not gone:
        yield Check("uv.buckets", Status.PASS, title, "it would delete none of them")
        return
    told = [f"{name} ({', '.join(join_some([n.who for n in needs[name]]))})" for name in gone]
    yield Check(
        "uv.buckets",
        Status.WARN,
        title,
        "it would delete " + ", ".join(join_some(told)),
        "their owners would download and build again what is in them",
    )


def _lock(answer: Answer) -> Iterator[Check]:
    if answer.simulation.unlinks_lock:
        yield Check(
            "uv.lock",
            Status.WARN,
            "Cache lock",
            "it would delete .lock under the hands of those who hold it",
            "releases from 0.8.19 on leave it in place",
        )


def _failure(answer: Answer) -> Iterator[Check]:
    if answer.simulation.failure:
        yield Check(
            "uv.failure",
            Status.FAIL,
            "It would end with an error",
            answer.simulation.failure,
            "use `cacheadmin prune` instead",
        )
