"""What cacheadmin remembers between runs, outside the cache.

``models`` are the tables (SQLAlchemy: SQLite or PostgreSQL), ``store`` reads
and writes them, ``fast_reading`` is the one read that every preflight makes,
without SQLAlchemy's import time. Losing the state only ever leads to less
removed or to a longer scan, never to more removed.
"""
