"""How an eviction looks: what went, and who still has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.prune.plan_rows import decisions_json
from cacheadmin.report.formats import Report, Rows, View
from cacheadmin.report.plans import decision_rows
from cacheadmin.report.prunes import prune_json
from cacheadmin.report.tables import table
from cacheadmin.text.escapes import printable
from cacheadmin.text.numbers import format_count
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cacheadmin.accounting import Measured
    from cacheadmin.evict.plan import Eviction
    from cacheadmin.planner.plan import Decision
    from cacheadmin.prune.result import PruneResult
    from cacheadmin.text.documents import Document, Heading

    User = Callable[[int | None], str]


@frozen
class EvictionReport(Report):
    """A package that was taken out of a cache, or would be."""

    heading: Heading
    """How the document begins."""
    eviction: Eviction
    """What was wanted, and who has it."""
    sizes: Measured[str]
    """What each entry takes."""
    user: User
    """Returns the account name of a uid."""
    result: PruneResult | None
    """What was done; None where nothing was to be."""
    undo: str | None = None
    """The command that undoes it; None where there is nothing to undo."""

    def document(self) -> Document:
        """Return the document of ``evict``."""
        content = eviction_json(self.eviction, self._removals, self.sizes, self.user)
        if self.result is None:
            return self.heading.over({**content, "outcome": "dry_run"})
        run = prune_json(self.eviction.plan, self.sizes, self.result)
        return self.heading.over({**run, **content})

    def rows(self) -> Rows:
        """Return an entry a row, removals first."""
        return decision_rows(self._removals, self.eviction.plan.kept, self.sizes)

    def text(self, view: View) -> str:
        """Return what went, what stays in use, and whom to tell what."""
        done = self.result is not None
        words = eviction_text(self.eviction, self._removals, self.user, done=done)
        return words if self.undo is None else f"{words}\n\nundo: {self.undo}"

    @property
    def _removals(self) -> Sequence[Decision]:
        return self.eviction.plan.removals if self.result is None else tuple(self.result.done)


def eviction_json(
    eviction: Eviction,
    removals: Sequence[Decision],
    sizes: Measured[str],
    user: User,
) -> dict[str, Any]:
    """Return the part of the document that tells of the eviction itself."""
    return {
        "packages": [one.text for one in eviction.wanted],
        "not_found": [one.text for one in eviction.absent],
        "removals": decisions_json(removals, sizes),
        "kept": decisions_json(eviction.plan.kept, sizes),
        "holders": [
            {
                "venv": one.environment.path,
                "kind": one.environment.kind.value,
                "owner": None if one.environment.uid is None else user(one.environment.uid),
                "uid": one.environment.uid,
                "packages": list(one.packages),
                "links": one.links,
                "repair": one.repair or None,
            }
            for one in eviction.holders
        ],
        "processes": [
            {"pid": one.pid, "owner": user(one.uid), "uid": one.uid, "command": one.command}
            for one in eviction.processes
        ],
        "warnings": list(eviction.warnings),
    }


def _in_short(eviction: Eviction, number: int, verb: str) -> Iterator[str]:
    """Yield how many entries went, and each package of which there is nothing."""
    names = [one.text for one in eviction.wanted if one not in eviction.absent]
    if names:
        count = format_count(number, "entry", "entries") if number else "nothing"
        yield f"{', '.join(names)}: {verb} {count}"
    for one in eviction.absent:
        yield f"{one.text}: nothing of it in this cache"


def eviction_text(
    eviction: Eviction, removals: Sequence[Decision], user: User, *, done: bool
) -> str:
    """Return an eviction for people: what went, what stays in use, whom to tell what."""
    verb = "removed" if done else "would remove"
    parts = ["\n".join(_in_short(eviction, len(removals), verb))]
    if removals:
        rows = [(one.kind.value, one.path, one.reason) for one in removals]
        parts.append(table((verb, "path", "because"), rows))
    if eviction.plan.kept:
        staying = [(one.path, one.reason) for one in eviction.plan.kept]
        words = table(("stays in use", "because"), staying)
        parts.append(f"{words}\n--even-in-use removes these too, and breaks what links to them")
    if eviction.holders:
        holding = [
            (
                one.environment.path,
                None if one.environment.uid is None else user(one.environment.uid),
                one.environment.kind.value,
                ", ".join(one.packages),
            )
            for one in eviction.holders
        ]
        parts.append(table(("has it", "owner", "kind", "packages"), holding))
        commands = [f"  {printable(one.repair)}" for one in eviction.holders if one.repair]
        if commands:
            parts.append("\n".join(["to be run by the owners:", *commands]))
    if eviction.processes:
        running = [(one.pid, user(one.uid), one.command) for one in eviction.processes]
        words = table(("process that may run it", "owner", "command"), running)
        parts.append(f"{words}\nwhat they imported stays in their memory until they end")
    return "\n\n".join(parts)
