"""What cacheadmin remembers between runs, outside the cache.

``models`` are the tables (SQLAlchemy: SQLite or PostgreSQL), ``store`` reads
and writes them, ``fast_reading`` is the one read that every preflight makes,
without SQLAlchemy's import time. Losing the state makes nobody's present
environment less safe, but what environments linked that can't be found now
(``venvs.keep_missing``) is known from nowhere else.
"""
