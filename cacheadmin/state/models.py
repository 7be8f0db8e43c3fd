"""The tables of the state as SQLAlchemy has them, made of their one declaration in `tables`."""

from __future__ import annotations

import sqlalchemy
from sqlalchemy import BigInteger, Boolean, MetaData, Text

from cacheadmin.state.tables import TABLES, ColumnKind, StateTable

_KINDS = {ColumnKind.TEXT: Text, ColumnKind.INTEGER: BigInteger, ColumnKind.BOOLEAN: Boolean}

METADATA = MetaData()

_MADE = {
    table.name: sqlalchemy.Table(
        table.name,
        METADATA,
        *(
            sqlalchemy.Column(
                column.name,
                _KINDS[column.kind],
                primary_key=column.key,
                nullable=column.optional,
                # Keys are told; SQLite and PostgreSQL would else count them up.
                autoincrement=False,
            )
            for column in table.columns
        ),
    )
    for table in TABLES
}


def table_of(table: StateTable) -> sqlalchemy.Table:
    """Return SQLAlchemy's table of a declared one."""
    return _MADE[table.name]
