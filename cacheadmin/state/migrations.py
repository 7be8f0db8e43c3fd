"""Bring tables of an older release up to date, number by number, in one transaction.

A migration adds the tables and columns that say ``since`` its number; one that has to do
more is given a function. Nothing is ever taken away: what `tables` promises is kept here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cacheadmin.state.tables import SCHEMA, SCHEMA_NUMBER, TABLES
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from sqlalchemy import Connection


class NewerSchemaError(Exception):
    """The tables are of a release that is newer than this one."""

    def __init__(self, number: int) -> None:
        super().__init__(f"its tables are of number {number}, this release knows up to {SCHEMA}")
        self.number = number


@frozen
class Migration:
    """What brings tables from the number before to this one."""

    number: int
    """The number that the tables have afterwards."""
    what: str
    """What came with it, for people."""
    more: Callable[[Connection], None] | None = None
    """What is to be done besides adding tables and columns."""


MIGRATIONS = (
    Migration(
        2,
        "what other hosts told, whose turn it is, messages that were sent, and what learned "
        "releases say of their prune",
    ),
    Migration(3, "by which moment a host judged ages at its last run"),
    Migration(4, "on what mount an environment lay"),
)


def require_known(number: int) -> None:
    """Raise NewerSchemaError for tables that only a newer release understands."""
    if number > SCHEMA:
        raise NewerSchemaError(number)


def bring_up_to_date(connection: Connection) -> None:
    """Make what is missing, and note the number. Raises NewerSchemaError, and changes nothing then.

    Also where a release between two numbers has made some of it.
    """
    from sqlalchemy import inspect, select, text

    from cacheadmin.state.models import METADATA, table_of

    known = inspect(connection)
    numbers = table_of(SCHEMA_NUMBER)
    has_number = known.has_table(SCHEMA_NUMBER.name)
    number = connection.scalar(select(numbers.c.number)) if has_number else None
    if number is not None:
        require_known(number)
    if number == SCHEMA:
        return
    there = {name: {row["name"] for row in known.get_columns(name)}
             for name in known.get_table_names()}  # fmt: skip
    METADATA.create_all(connection)
    for table in TABLES:
        for column in table.columns:
            if table.name in there and column.name not in there[table.name]:
                sql = f"ALTER TABLE {table.name} ADD COLUMN {column.name} {column.kind.value}"
                connection.execute(text(sql))
    for migration in MIGRATIONS:
        # What was made just now, by this release, has nothing to be changed.
        if there and migration.more is not None and migration.number > (number or 1):
            migration.more(connection)
    connection.execute(numbers.delete())
    connection.execute(numbers.insert().values(id=1, number=SCHEMA))
