"""How the observations of hosts look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.report.formats import Report, Rows, View, rows_of
from cacheadmin.report.tables import table
from cacheadmin.text.escapes import printable
from cacheadmin.text.numbers import format_count
from cacheadmin.text.timestamps import NANOSECONDS, format_age, now_ns, rfc3339
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cacheadmin.evidence.observations import Observation, Observations
    from cacheadmin.text.documents import Document, Heading

COLUMNS = ("host", "told", "by uid", "reaches the cache at", "environments", "users", "gaps")


_COLUMNS = (
    *("host", "observed_at", "uid", "version", "path", "filesystem", "environments"),
    *("users", "gaps"),
)


@frozen
class ObservationReport(Report):
    """What this host saw of a cache, and told the others."""

    heading: Heading
    """How the document begins."""
    observation: Observation
    """What it saw."""
    place: str
    """Where that is kept."""

    def document(self) -> Document:
        """Return the document of ``observe``."""
        content = {"place": self.place, "observation": observation_json(self.observation)}
        return self.heading.over(content)

    def rows(self) -> Rows:
        """Return the host as one row."""
        return _host_rows([self.observation])

    def text(self, view: View) -> str:
        """Return it in a line, and what could not be looked at."""
        return observation_text(self.observation, self.place)


@frozen
class HostsReport(Report):
    """What each host told of a cache."""

    heading: Heading
    """How the document begins."""
    seen: Observations
    """The observations, and what could not be read of them."""
    place: str
    """Where they are kept."""

    def document(self) -> Document:
        """Return the document of ``observe --list``."""
        return self.heading.over(
            {
                "place": self.place,
                "observations": [observation_json(one) for one in self.seen.known],
                "problems": list(self.seen.problems),
            }
        )

    def rows(self) -> Rows:
        """Return a host a row."""
        return _host_rows(self.seen.known)

    def text(self, view: View) -> str:
        """Return the table of hosts."""
        return hosts_text(self.seen, self.place)


def _host_rows(observations: Iterable[Observation]) -> Rows:
    records = [observation_json(one) for one in observations]
    counted = [
        {
            **row,
            "path": row["reach"]["path"],
            "filesystem": row["reach"]["filesystem"],
            "users": len(row["uses"]),
            "gaps": len(row["gaps"]),
        }
        for row in records
    ]
    shown = rows_of(counted, _COLUMNS)
    return Rows(shown.columns, shown.cells, records)


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
        "sight": _sight_json(observation),
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


def _sight_json(observation: Observation) -> dict[str, Any] | None:
    sight = observation.sight
    if sight is None:
        return None
    ahead_ns = sight.clock_ahead_ns
    return {
        "token_seen": sight.token is not None,
        "inode": sight.inode,
        "writable": sight.writable,
        "clock_ahead_seconds": None if ahead_ns is None else round(ahead_ns / NANOSECONDS, 3),
        "access_seen": sight.access_seen,
        "sprung": list(sight.sprung),
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
