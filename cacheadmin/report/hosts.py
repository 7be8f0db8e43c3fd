"""How the observations of hosts look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.report.tables import table
from cacheadmin.text.counting import format_count
from cacheadmin.text.escaping import printable
from cacheadmin.text.timestamps import format_age, now_ns, rfc3339

if TYPE_CHECKING:
    from cacheadmin.evidence.observations import Observation, Observations

COLUMNS = ("host", "told", "by uid", "reaches the cache at", "environments", "users", "gaps")


def observation_json(observation: Observation) -> dict[str, Any]:
    """Return one observation, without the entries that each user uses."""
    reach = observation.reach
    return {
        "host": observation.host,
        "observed_at": rfc3339(observation.at_ns),
        "uid": observation.uid,
        "version": observation.version,
        "reach": {
            "path": reach.path,
            "filesystem": reach.kind,
            "source": reach.source,
            "mount_point": reach.mount_point,
            "options": list(reach.options),
            "read_only": reach.read_only,
        },
        "mounts": [
            {
                "mount_point": one.mount_point,
                "filesystem": one.kind,
                "source": one.source,
                "server_id": one.filesystem or None,
            }
            for one in observation.mounts
        ],
        "environments": observation.environments,
        "uses": [
            {"who": use.who, "uid": use.uid, "entries": len(use.entries)}
            for use in observation.uses
        ],
        "releases": sorted({one.version for one in observation.releases if one.version}),
        "gaps": [
            {"id": gap.id, "subject": gap.subject, "detail": gap.detail} for gap in observation.gaps
        ],
    }


def observation_text(observation: Observation, place: str) -> str:
    """Return in a line what was told, and where it is kept."""
    environments = format_count(observation.environments, "environment")
    uses = format_count(len(observation.uses), "user")
    lines = [
        f"host {observation.host}: {environments} looked at, {uses} of the cache; kept in {place}"
    ]
    lines += [f"gap: {gap.detail}" for gap in observation.gaps]
    return "\n".join(map(printable, lines))


def hosts_text(seen: Observations, place: str) -> str:
    """Return a table of what each host told."""
    lines = [printable(f"problem: {problem}") for problem in seen.problems]
    if not seen.known:
        return "\n".join([*lines, printable(f"no host has told anything in {place}")])
    now = now_ns()
    rows = [
        (
            one.host,
            f"{format_age(one.at_ns, now)} ago",
            one.uid,
            f"{one.reach.path} ({one.reach.kind})",
            one.environments,
            len(one.uses),
            len(one.gaps),
        )
        for one in sorted(seen.known, key=lambda one: (one.host, one.uid))
    ]
    return "\n".join([table(COLUMNS, rows), *lines])
