"""When a cached environment that no user is seen to use stays all the same.

``uvx`` and ``uv run --with`` keep whole environments in the cache and never
remove old ones; people expect the last one of each tool to stay, so that the
next ``uvx TOOL`` is quick, and idle ones to go (uv issue 11694). A process of
another host that we can't see may run from one, so it goes only where absence
can be concluded; one of another user of this host goes on through a trial.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import archive_path
from cacheadmin.planner import reasons
from cacheadmin.planner.marks import Use
from cacheadmin.planner.users import OtherUser
from cacheadmin.text.timestamps import format_age, nanoseconds
from cacheadmin.uv.layout import is_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.evidence.facts import Environment
    from cacheadmin.inventory.entries import CachedEnvironment
    from cacheadmin.planner.plan_input import PlanInput


def reasons_to_stay(case: PlanInput) -> Iterator[tuple[CachedEnvironment, Use]]:
    """Yield each cached environment with each rule of the policy that keeps it."""
    rule = case.policy.prune.environments
    unseen_processes = [
        one for one in case.evidence.unseen if one.what == "process" and case.keeps_everything(one)
    ]
    latest = {environment.path for environment in _latest_of_each_tool(case)}
    for environment in case.inventory.environments:
        if rule == "never":
            yield environment, Use(reasons.ENVIRONMENT_POLICY, OtherUser.POLICY)
            continue
        idle_ns = case.now_ns - environment.changed_ns
        if idle_ns < nanoseconds(rule.idle):
            age = format_age(environment.changed_ns, case.now_ns)
            yield environment, Use(reasons.ENVIRONMENT_RECENT, OtherUser.POLICY, age)
        if rule.keep_latest and environment.path in latest:
            tools = ", ".join(_tools(case, environment)) or "its tool"
            yield environment, Use(reasons.ENVIRONMENT_LATEST, OtherUser.POLICY, tools)
        if unseen_processes:
            why = unseen_processes[0].reason
            user = OtherUser.UNSEEN_PROCESSES
            yield environment, Use(reasons.ENVIRONMENT_UNSEEN, user, why)
        if not case.lock_proves_absence:
            yield environment, Use(reasons.ENVIRONMENT_OTHER_HOSTS, OtherUser.OTHER_HOSTS)


def _latest_of_each_tool(case: PlanInput) -> list[CachedEnvironment]:
    """Return the newest environment of each (bucket, tools); unknown tools count as their own."""
    newest: dict[tuple[str, ...], CachedEnvironment] = {}
    for environment in case.inventory.environments:
        scanned = _scanned(case, environment)
        if scanned is not None and scanned.python_gone:
            # It runs no more, so it can't make the next call quick.
            continue
        tools = _tools(case, environment) or (environment.path,)
        key = (environment.bucket, *tools)
        known = newest.get(key)
        if known is None or (environment.changed_ns, environment.path) > (
            known.changed_ns,
            known.path,
        ):
            newest[key] = environment
    return list(newest.values())


def cached_name(case: PlanInput, environment: CachedEnvironment) -> tuple[str | None, str | None]:
    """Return what people call a cached environment: (tool, its version), or (script, None).

    Several tools (``--with``) are named together, without versions; (None, None) for one
    that tells nothing.
    """
    own = environment.path.rpartition("/")[2]
    name, _, digest = own.rpartition("-")
    if environment.archive is None and name and is_digest(digest):
        return name, None
    scanned = _scanned(case, environment)
    tools = () if scanned is None else scanned.tools
    if scanned is None or not tools:
        return None, None
    if len(tools) == 1:
        return tools[0], scanned.tool_versions.get(tools[0])
    return " + ".join(tools), None


def cached_names(case: PlanInput) -> dict[str, tuple[str, str | None]]:
    """Return the name of each cached environment, by its entry and by its archive's."""
    found = {}
    for environment in case.inventory.environments:
        name, version = cached_name(case, environment)
        if name is not None:
            found[environment.path] = (name, version)
            if environment.archive is not None:
                found[archive_path(environment.archive)] = (name, version)
    return found


def _scanned(case: PlanInput, environment: CachedEnvironment) -> Environment | None:
    archive = environment.archive
    entry = environment.path if archive is None else archive_path(archive)
    return case.cached_environments.get(entry)


def _tools(case: PlanInput, environment: CachedEnvironment) -> tuple[str, ...]:
    scanned = _scanned(case, environment)
    return scanned.tools if scanned is not None else ()
