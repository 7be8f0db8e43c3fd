"""Why a verdict is less than ``safe``: one function a reason, in the order reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import UNSEEN, uv_version
from cacheadmin.planner import reasons
from cacheadmin.planner.gaps import READ_IT
from cacheadmin.planner.plan import Limit, Verdict
from cacheadmin.planner.unknown_releases import unknown_releases
from cacheadmin.planner.words import describe_user
from cacheadmin.text.lists import join_some
from cacheadmin.text.numbers import format_count, verb
from cacheadmin.text.timestamps import format_age

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.evidence.facts import Gap
    from cacheadmin.planner.marks import Liveness
    from cacheadmin.planner.plan_input import PlanInput


def limits(case: PlanInput, live: Liveness) -> Iterator[Limit]:
    """Yield everything that keeps a prune of this cache from being plain safe."""
    yield from _links(case)
    yield from _cached_links(case, live)
    yield from _unseen(case)
    yield from _gaps(case)
    yield from _remembered(case, live)
    yield from _processes(case)
    yield from _lock_free_uv(case)
    yield from _lock_holders(case)
    yield from _other_hosts(case)
    yield from _unknown(case, live)
    yield from _clock(case)
    yield from _retention(case)


def _links(case: PlanInput) -> Iterator[Limit]:
    linking = [e for e in case.outside_environments if e.archives or e.entries]
    if not linking:
        return
    verdict = Verdict.REFUSED if case.policy.links.symlink == "refuse" else Verdict.LIMITED
    named = join_some(
        [
            f"{e.path} ({case.user(e.uid)}, {format_count(e.links, 'link')}"
            + (f", uv {e.uv_version})" if e.uv_version else ")")
            for e in sorted(linking, key=lambda e: e.path)
        ]
    )
    count = (
        f"{len(linking)} environment{'s link' if len(linking) > 1 else ' links'} into this cache"
    )
    says = " and the policy says links.symlink: refuse" if verdict is Verdict.REFUSED else ""
    fix = (
        "to prune what no user links, set links.symlink: limit"
        if verdict is Verdict.REFUSED
        else "cacheadmin keeps what they link; `uv cache prune` would break them"
    )
    yield Limit("links.symlink", verdict, f"{count}{says}: " + ", ".join(named), fix)


def _cached_links(case: PlanInput, live: Liveness) -> Iterator[Limit]:
    linking = [
        entry
        for entry, environment in case.cached_environments.items()
        if environment.archives and live.of(entry)
    ]
    if linking:
        yield Limit(
            "links.cached",
            Verdict.LIMITED,
            f"{format_count(len(linking), 'cached tool or script environment')} "
            f"{verb(len(linking), 'links', 'link')} to archives of this cache",
            "they are kept with what they link until they are idle and unused",
        )


def _unseen(case: PlanInput) -> Iterator[Limit]:
    for unseen in case.evidence.unseen:
        refused = unseen.what == "environment" and case.policy.venvs.unreadable == "refuse"
        owner = f" of {case.user(unseen.uid)}" if unseen.uid is not None else ""
        kept = ""
        if unseen in case.unread_pins:
            kept = "; it may name anything, so everything is kept"
        elif case.keeps_everything(unseen):
            kept = "; every archive it could use is kept"
        elif unseen.hides_archives:
            kept = "; what it could use goes on trial: it goes on working, and shows who uses it"
        yield Limit(
            f"{UNSEEN}{unseen.what}",
            Verdict.REFUSED if refused else Verdict.LIMITED,
            f"{unseen.what} {unseen.path}{owner} could not be looked at: {unseen.reason}{kept}",
            unseen.fix or READ_IT,
        )


def _gaps(case: PlanInput) -> Iterator[Limit]:
    """Yield the gaps, one limit an id: a site may have a hundred homes."""
    refused = case.policy.venvs.gaps == "refuse"
    says = "; the policy says venvs.gaps: refuse" if refused else ""
    by_id: dict[str, list[Gap]] = {}
    for gap in case.gaps:
        # What could not be read has limits of its own; a refusal names it too.
        if refused or not gap.is_unseen:
            by_id.setdefault(gap.id, []).append(gap)
    for name, gaps in by_id.items():
        first, *others = gaps
        more = ", ".join(join_some([gap.subject for gap in others]))
        yield Limit(
            name,
            Verdict.REFUSED if refused else Verdict.LIMITED,
            first.detail + (f"; likewise {more}" if more else "") + says,
            first.fix,
        )


def _remembered(case: PlanInput, live: Liveness) -> Iterator[Limit]:
    if not case.evidence.remembered:
        return
    users = {
        use.user
        for marks in (*live.archives.values(), *live.entries.values())
        for use in marks
        if use.reason is reasons.ARCHIVE_REMEMBERED
    }
    if users:
        named = ", ".join(join_some(sorted(map(describe_user, users))))
        yield Limit(
            "environments.missing",
            Verdict.LIMITED,
            f"{format_count(len(users), 'environment')} {verb(len(users), 'is', 'are')} not to be "
            f"found on this host, what they linked is kept: {named}",
            "for each that is gone for good: `cacheadmin venv remove POLICY PATH`; those that are "
            "only away need what they link",
        )


def _processes(case: PlanInput) -> Iterator[Limit]:
    using = [process for process in case.evidence.processes if process.uses]
    if using:
        named = join_some([f"{p.pid} ({case.user(p.uid)}, {p.command})" for p in using])
        yield Limit(
            "processes.running",
            Verdict.LIMITED,
            f"{format_count(len(using), 'running process', 'running processes')} "
            f"{verb(len(using), 'uses', 'use')} the cache: " + ", ".join(named),
            "what they use is kept",
        )


def _lock_free_uv(case: PlanInput) -> Iterator[Limit]:
    if case.lock_free_uv:
        named = join_some(
            [
                f"{p.pid} ({case.user(p.uid)}, uv {uv_version(p) or 'of unknown release'})"
                for p in case.lock_free_uv
            ]
        )
        effect = "no archive is removed"
        if case.prunes_concurrently:
            effect = "archives are removed in a later run, once these have ended"
        yield Limit(
            "processes.lock_free_uv",
            Verdict.LIMITED,
            f"uv processes that take no cache lock are running, {effect}: " + ", ".join(named),
            "wait until they end, or upgrade these users to uv 0.8.19 or later",
        )


def _lock_holders(case: PlanInput) -> Iterator[Limit]:
    for holder in case.evidence.lock_holders:
        who = f"process {holder.pid} of {case.user(holder.uid)} ({holder.command})"
        if holder.unlinked:
            yield Limit(
                "lock.unlinked",
                Verdict.LIMITED,
                f"{who} holds a .lock that was deleted since, by the prune of a uv before 0.8.19: "
                "it keeps no process out, and no other process's lock stops it",
                "wait until it ends; ask users of such releases to upgrade",
            )
        elif holder.exclusive and holder.is_uv is False:
            yield Limit(
                "lock.foreign",
                Verdict.LIMITED,
                f"{who}, which is no uv, holds the cache's lock exclusively: every uv command of "
                "every user waits for it",
                f"ask {case.user(holder.uid)} what it is for, or end it",
            )


def _other_hosts(case: PlanInput) -> Iterator[Limit]:
    filesystem = case.evidence.filesystem
    if not filesystem.network:
        return
    if case.others_may_link:
        yield Limit(
            "hosts.unseen",
            Verdict.LIMITED,
            f"the cache is on {filesystem.kind}: processes and local environments of other hosts "
            "can't be seen from here",
            "name them in hosts.expect, and run `cacheadmin observe POLICY` on each",
        )
    if filesystem.locks_reach_other_hosts is not True:
        yield Limit(
            "filesystem.locks",
            Verdict.LIMITED,
            f"locks on this {filesystem.kind} mount do not reach other hosts"
            + (f" ({filesystem.lock_note})" if filesystem.lock_note else ""),
            "prune while no other host installs, or mount it with working locks",
        )


def _unknown(case: PlanInput, live: Liveness) -> Iterator[Limit]:
    yield from unknown_releases(case, live)
    unclear = [p.path for p in case.inventory.wheel_pointers if not p.understood]
    if unclear:
        yield Limit(
            "pointers.unknown",
            Verdict.LIMITED,
            f"{len(unclear)} pointers have a shape no known uv release writes: "
            + ", ".join(join_some(unclear)),
            "archives of these packages are kept",
        )
    for failure in case.inventory.unreadable:
        yield Limit(
            "cache.unreadable",
            Verdict.LIMITED,
            f"{failure.path} in the cache could not be read: {failure.reason}"
            + ("" if failure.uid is None else f" (it is {case.user(failure.uid)}'s)"),
            "run it as root, or as the owner of the cache",
        )


def _clock(case: PlanInput) -> Iterator[Limit]:
    if case.evidence.clock_ahead_ns:
        ahead = format_age(0, case.evidence.clock_ahead_ns)
        yield Limit(
            "clock.set",
            Verdict.LIMITED,
            f"by its clock {ahead} have passed that this host is not known to have run: the clock "
            "was set forward, or for more than a week before its boot the host was off, or no "
            "prune ran. Ages are counted without that, until it has run for as long",
            "check the clock of this host; if it is right, nothing is to be done",
        )


def _retention(case: PlanInput) -> Iterator[Limit]:
    if case.policy.prune.unused.after is not None and case.others_may_link:
        yield Limit(
            "unused.other_hosts",
            Verdict.LIMITED,
            "environments of other hosts can't be seen from here, so no wheel counts as unused",
            "leave prune.unused.after out for a cache on a network filesystem",
        )
    if case.budget_unmet:
        yield Limit(
            "budget.unmet",
            Verdict.LIMITED,
            f"prune.budget can't be met: {case.budget_unmet}",
            "see `cacheadmin usage POLICY`, or raise the budget",
        )
