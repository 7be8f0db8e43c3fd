"""How a simulated prune looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.report.formats import Report, Rows, View, rows_of
from cacheadmin.report.tables import table
from cacheadmin.text.escapes import printable
from cacheadmin.text.numbers import format_count
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from cacheadmin.simulate.breakage import Breakage
    from cacheadmin.simulate.simulation import Simulation
    from cacheadmin.text.documents import Document, Heading

_ROWS = 40


_COLUMNS = ("effect", "path", "owner", "links", "packages")


@frozen
class SimulationReport(Report):
    """What a prune or clean of uv itself would do."""

    heading: Heading
    """How the document begins."""
    simulation: Simulation
    """What it would delete."""
    broken: Breakage
    """What would break."""
    user: Callable[[int | None], str]
    """Returns the account name of a uid."""
    unprotected: Breakage | None
    """What would break without the roots that are planted; None where none are."""

    def document(self) -> Document:
        """Return the document of ``simulate``."""
        content = simulation_json(self.simulation, self.broken, self.user, self.unprotected)
        return self.heading.over(content)

    def rows(self) -> Rows:
        """Return a row for each thing it breaks, and each tree that it deletes."""
        content = simulation_json(self.simulation, self.broken, self.user)
        rows = [{"effect": "breaks", "path": one["venv"], **one} for one in content["breaks"]]
        rows += [{"effect": "deletes outside", "path": path} for path in content["outside"]]
        rows += [{"effect": "deletes", "path": path} for path in content["removals"]]
        return rows_of([{key: row.get(key) for key in _COLUMNS} for row in rows], _COLUMNS)

    def text(self, view: View) -> str:
        """Return whom it hits first, then what goes."""
        return simulation_text(
            self.simulation, self.broken, self.user, self.unprotected, every_row=view.verbose
        )


def simulation_json(
    simulation: Simulation,
    broken: Breakage,
    user: Callable[[int | None], str],
    unprotected: Breakage | None = None,
) -> dict[str, Any]:
    """Return the document's content; ``unprotected`` is what planted roots prevent."""
    return {
        "uv": simulation.version,
        "ci": simulation.ci,
        "force": simulation.force,
        "clean": list(simulation.cleaned),
        "removals": list(simulation.removals),
        "outside": list(simulation.outside),
        "unlinks_lock": simulation.unlinks_lock,
        "failure": simulation.failure or None,
        **_breakage_json(broken, user),
        "without_protection": None if unprotected is None else _breakage_json(unprotected, user),
    }


def _breakage_json(broken: Breakage, user: Callable[[int | None], str]) -> dict[str, Any]:
    return {
        "breaks": [
            {
                "venv": one.path,
                "kind": one.kind.value,
                "owner": None if one.uid is None else user(one.uid),
                "links": one.links,
                "packages": list(one.packages),
            }
            for one in broken.environments
        ],
        "processes": [
            {"pid": one.pid, "owner": user(one.uid), "command": one.command}
            for one in broken.processes
        ],
    }


def simulation_text(
    simulation: Simulation,
    broken: Breakage,
    user: Callable[[int | None], str],
    unprotected: Breakage | None = None,
    *,
    every_row: bool = False,
) -> str:
    """Return a simulated prune for people: whom it hits first, then what goes."""
    lines = [_headline(_command(simulation), simulation, broken)]
    if unprotected is not None:
        spared = len(unprotected.environments) - len(broken.environments)
        lines.append(
            f"without protection it would break "
            f"{format_count(len(unprotected.environments), 'environment')}: "
            f"`cacheadmin protect` spares {spared}"
        )
    if simulation.outside:
        lines.append("ALARM: by links out of the cache it would delete, outside of it:")
        lines += [f"  {printable(path)}" for path in simulation.outside]
    if simulation.unlinks_lock:
        lines.append("it would delete .lock, on which releases from 0.8.19 on rely")
    if simulation.failure:
        lines.append(f"it would end with an error: {printable(simulation.failure)}")
    if broken.environments:
        rows = [
            (
                one.path,
                None if one.uid is None else user(one.uid),
                one.links,
                _packages(one.packages),
            )
            for one in broken.environments
        ]
        lines += ["", table(("breaks", "owner", "links", "packages"), rows, right=("links",))]
    if broken.processes:
        processes = [(one.pid, user(one.uid), one.command) for one in broken.processes]
        lines += ["", table(("breaks process", "owner", "command"), processes)]
    shown = simulation.removals if every_row else simulation.removals[:_ROWS]
    if shown:
        lines += ["", "removes:"]
        lines += [f"  {printable(path)}" for path in shown]
    if len(shown) < len(simulation.removals):
        lines.append(f"  ... and {len(simulation.removals) - len(shown)} more (--verbose: all)")
    return "\n".join(lines)


def _command(simulation: Simulation) -> str:
    words = ["uv cache", "clean" if simulation.cleaned else "prune"]
    words += ["--ci"] * simulation.ci + ["--force"] * simulation.force
    return f"{' '.join([*words, *simulation.cleaned])} of uv {simulation.version}"


def _headline(command: str, simulation: Simulation, broken: Breakage) -> str:
    if not simulation.removals and not simulation.outside:
        return f"{command} would remove nothing"
    number = format_count(len(simulation.removals), "entry", "entries")
    if not broken.environments and not broken.processes:
        return f"{command} would remove {number} and break no environment that was seen"
    owners = len({one.uid for one in broken.environments})
    hit = format_count(len(broken.environments), "environment")
    running = f" and {format_count(len(broken.processes), 'process', 'processes')}"
    return f"{command} would remove {number} and BREAK {hit} of {format_count(owners, 'user')}" + (
        running if broken.processes else ""
    )


def _packages(packages: tuple[str, ...]) -> str:
    return ", ".join(packages[:3]) + (f" and {len(packages) - 3} more" if len(packages) > 3 else "")
