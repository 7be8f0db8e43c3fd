"""Who holds what on a page: teams, owners and environments, and those that are broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import LinkMode
from cacheadmin.report.page.cells import (
    Cell,
    CellKind,
    CellTable,
    badge,
    counted,
    dated,
    named,
    path,
    sized,
    words,
)
from cacheadmin.text.timestamps import rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.overview.facts import CacheReport, EnvironmentFacts, HolderFacts

_HOLDERS = 25
_ENVIRONMENTS = 200
_NUMBERS = ("uses", "alone", "frees")


def holder_tables(overview: CacheReport) -> list[tuple[str, CellTable]]:
    """Return who keeps what in use: (title, table), none for what is not held."""
    found = [
        ("Teams", _holders("Teams", "team", overview.holding_teams)),
        ("Owners", _holders("Owners", "owner", overview.holding_owners)),
    ]
    return [(title, table) for title, table in found if table.rows]


def _holders(title: str, word: str, holders: Sequence[HolderFacts]) -> CellTable:
    shown = holders[:_HOLDERS]
    return CellTable(
        f"{title} and what they hold",
        (word, "environments", *_NUMBERS),
        [(named(one.name), counted(one.environments), *_numbers(one)) for one in shown],
        left_out=len(holders) - len(shown),
        stacked=True,
    )


def environment_table(overview: CacheReport) -> CellTable:
    """Return every environment, broken ones first: their owners can't work there."""
    holding = overview.holders
    known = {one.path for one in holding}
    ordered = sorted(
        (*holding, *(one for one in overview.environments if one.path not in known)),
        key=lambda one: not one.broken_links,
    )
    shown = ordered[:_ENVIRONMENTS]
    return CellTable(
        "Environments",
        ("environment", "owner", "team", "status", "links", *_NUMBERS, "changed"),
        [_environment(one) for one in shown],
        left_out=len(ordered) - len(shown),
        stacked=True,
    )


def _environment(one: EnvironmentFacts) -> tuple[Cell, ...]:
    modes = [
        f"{one.link_modes[mode]} {mode.value}" for mode in LinkMode if one.link_modes.get(mode)
    ]
    status = one.status.value
    style = "ok" if status == "ok" else "broken" if status == "broken" else "warning"
    none = Cell(CellKind.WORDS, "–", 0)
    return (
        path(one.path),
        named(one.owner),
        named(one.team),
        badge(status, style),
        words(", ".join(modes) or "–"),
        *((none, none, none) if one.holder is None else _numbers(one.holder)),
        dated(None if one.changed_ns is None else rfc3339(one.changed_ns)[:10]),
    )


def _numbers(holder: HolderFacts) -> tuple[Cell, Cell, Cell]:
    return (
        sized(holder.held.allocated_bytes),
        sized(holder.alone.reclaimable_bytes),
        sized(holder.freed_bytes),
    )
