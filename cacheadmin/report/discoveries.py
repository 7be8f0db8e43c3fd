"""How discovered environments look: the rows of ``venv discover``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.report.environments import environment_json
from cacheadmin.report.formats import Report, Rows, View
from cacheadmin.text.escapes import printable
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cacheadmin.evidence.facts import Environment
    from cacheadmin.text.documents import Document, Heading

_COLUMNS = ("path", "sources")


@frozen
class DiscoveriesReport(Report):
    """The environments that a search found, and by what."""

    heading: Heading
    """How the document begins."""
    environments: Sequence[Environment]
    """What was found, in the order of its path."""
    owner: Callable[[Environment], str | None]
    """Returns the account name of an environment's owner, None where unknown."""
    team: Callable[[Environment], str | None]
    """Returns the team that an environment is attributed to."""

    def document(self) -> Document:
        """Return the document of ``venv discover``; environments are told as ``scan`` does."""
        return self.heading.over({"venvs": self.rows().records})

    def rows(self) -> Rows:
        """Return an environment a row."""
        cells = [(one.path, ",".join(one.sources)) for one in self.environments]
        records = [
            environment_json(one, self.owner(one), self.team(one)) for one in self.environments
        ]
        return Rows(_COLUMNS, cells, records)

    def text(self, view: View) -> str:
        """Return a line for each: its path, a tab, and what led to it."""
        return "\n".join(
            f"{printable(one.path)}\t{','.join(one.sources)}" for one in self.environments
        )
