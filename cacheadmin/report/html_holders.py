"""Who holds what on a page: teams, owners and environments, and those that are broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import LinkMode
from cacheadmin.report.html_text import (
    Cell,
    counted,
    dated,
    escaped,
    named,
    path_html,
    section,
    table_html,
)
from cacheadmin.text.counting import format_count
from cacheadmin.text.sizes import format_size
from cacheadmin.text.timestamps import rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.overview.facts import Holder, KnownEnvironment, Overview

_HOLDERS = 25
_ENVIRONMENTS = 200
_NUMBERS = ("uses", "alone", "frees")


def holders_html(overview: Overview, identity: str) -> str:
    """Return who keeps what in use, and every environment."""
    tables = [
        _holders("Teams", "team", overview.holding_teams),
        _holders("Owners", "owner", overview.holding_owners),
    ]
    told = (
        "<p>Packages that are symlinked live in the cache alone, for as long as an environment "
        "uses them. <em>Alone</em> is what only they use; <em>frees</em> is what the next prune "
        "would free if it went.</p>"
    )
    grid = "".join(f"<div>{table}</div>" for table in tables if table)
    holding = ""
    if grid:
        content = f'{told}<div class="grid2">{grid}</div>'
        holding = section(f"{identity}-holders", "Who holds what", content)
    return holding + _environments(overview, identity)


def _holders(title: str, word: str, holders: Sequence[Holder]) -> str:
    shown = holders[:_HOLDERS]
    rows = [(named(one.name), counted(one.environments), *_numbers(one)) for one in shown]
    table = table_html(
        f"{title} and what they hold",
        (word, "environments", *_NUMBERS),
        rows,
        left_out=len(holders) - len(shown),
        stacked=True,
    )
    return f"<h3>{escaped(title)}</h3>{table}" if table else ""


def _environments(overview: Overview, identity: str) -> str:
    holding = overview.holders
    known = {one.path for one in holding}
    # Broken ones first: their users can't work.
    ordered = sorted(
        (*holding, *(one for one in overview.environments if one.path not in known)),
        key=lambda one: not one.broken_links,
    )
    shown = ordered[:_ENVIRONMENTS]
    columns = ("environment", "owner", "team", "status", "links", *_NUMBERS, "changed")
    table = table_html(
        "Environments",
        columns,
        [_environment(one) for one in shown],
        left_out=len(ordered) - len(shown),
        stacked=True,
    )
    repair = ""
    if overview.broken:
        words = format_count(len(overview.broken), "environment")
        repair = (
            f'<p><span class="badge broken">broken</span> {words} with links that lead nowhere: '
            f"{path_html(overview.loaded.command('doctor'))} says how to repair each.</p>"
        )
    content = repair + (table or "<p>No environment is known.</p>")
    return section(f"{identity}-environments", "Environments", content, "wide")


def _environment(one: KnownEnvironment) -> tuple[Cell, ...]:
    modes = [
        f"{one.link_modes[mode]} {mode.value}" for mode in LinkMode if one.link_modes.get(mode)
    ]
    status = one.status.value
    badge = "ok" if status == "ok" else "broken" if status == "broken" else "warning"
    numbers = (Cell("–", 0), Cell("–", 0), Cell("–", 0))
    return (
        Cell(path_html(one.path)),
        named(one.owner),
        named(one.team),
        Cell(f'<span class="badge {badge}">{status}</span>'),
        Cell(escaped(", ".join(modes)) or "–"),
        *(numbers if one.holder is None else _numbers(one.holder)),
        dated(None if one.changed_ns is None else rfc3339(one.changed_ns)[:10]),
    )


def _numbers(holder: Holder) -> tuple[Cell, Cell, Cell]:
    held, alone = holder.held.allocated_bytes, holder.alone.reclaimable_bytes
    return (
        Cell(format_size(held), held),
        Cell(format_size(alone), alone),
        Cell(format_size(holder.freed_bytes), holder.freed_bytes),
    )
