"""How environments look: the rows of ``scan``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.evidence.facts import Environment, EnvironmentStatus, Gap, LinkMode
from cacheadmin.report.formats import Report, Rows, View
from cacheadmin.report.gaps import gaps_text
from cacheadmin.report.tables import Cell, table
from cacheadmin.text.numbers import format_count
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cacheadmin.text.documents import Document, Heading

COLUMNS = ("status", "kind", "owner", "team", "uv", "links", "broken", "path")
SPARE = ("team", "uv", "kind")


@frozen
class EnvironmentsReport(Report):
    """The environments that a scan found."""

    heading: Heading
    """How the document begins."""
    environments: Sequence[Environment]
    """What was found, in the order of its path."""
    owner: Callable[[Environment], str | None]
    """Returns the account name of an environment's owner, None where unknown."""
    team: Callable[[Environment], str | None]
    """Returns the team that an environment is attributed to."""
    gaps: Sequence[Gap]
    """Where others may be unseen."""

    def document(self) -> Document:
        """Return the document of ``scan``."""
        return self.heading.over({"venvs": self._records()})

    def rows(self) -> Rows:
        """Return an environment a row."""
        cells = [environment_row(e, self.owner(e), self.team(e)) for e in self.environments]
        return Rows(COLUMNS, cells, self._records())

    def text(self, view: View) -> str:
        """Return the table of environments, and what was not looked at."""
        found = environments_text(self.environments, self.owner, self.team)
        gaps = gaps_text(self.gaps)
        return f"{found}\n\n{gaps}" if gaps else found

    def _records(self) -> list[dict[str, Any]]:
        return [environment_json(e, self.owner(e), self.team(e)) for e in self.environments]


def environment_json(
    environment: Environment, owner: str | None, team: str | None
) -> dict[str, Any]:
    """Return one environment as the contract's row; link modes count distributions."""
    return {
        "path": environment.path,
        "kind": environment.kind.value,
        "owner": owner,
        "uid": environment.uid,
        "team": team,
        "uv_version": environment.uv_version,
        "sources": list(environment.sources),
        "link_modes": {mode.value: environment.link_modes.get(mode, 0) for mode in LinkMode},
        "archives": sorted(environment.archives),
        "entries": sorted(environment.entries),
        "links": environment.links,
        "broken_links": environment.broken_links,
        "broken_packages": list(environment.broken_packages),
        "status": environment.status.value,
        "reason": environment.reason or None,
        "fingerprint": environment.fingerprint,
    }


def environment_row(
    environment: Environment, owner: str | None, team: str | None
) -> tuple[Cell, ...]:
    """Return one environment as a table row, in the order of ``COLUMNS``."""
    modes = [
        f"{environment.link_modes[mode]} {mode.value}"
        for mode in LinkMode
        if environment.link_modes.get(mode)
    ]
    path = f"{environment.path} ({environment.reason})" if environment.reason else environment.path
    return (
        environment.status.value,
        environment.kind.value,
        owner,
        team,
        environment.uv_version,
        ", ".join(modes) or "none",
        environment.broken_links or None,
        path,
    )


def environments_text(
    environments: Sequence[Environment],
    owner: Callable[[Environment], str | None],
    team: Callable[[Environment], str | None],
) -> str:
    """Return the table of environments with a closing line that counts them."""
    rows = [environment_row(e, owner(e), team(e)) for e in environments]
    linking = sum(1 for e in environments if e.archives or e.entries)
    broken = sum(1 for e in environments if e.broken_links)
    unread = sum(1 for e in environments if e.status is EnvironmentStatus.UNREADABLE)
    closing = (
        f"{format_count(len(environments), 'environment')}, {linking} linked into the cache, "
        f"{broken} broken, {unread} unreadable"
    )
    return f"{table(COLUMNS, rows, right=('broken',), spare=SPARE)}\n{closing}" if rows else closing
