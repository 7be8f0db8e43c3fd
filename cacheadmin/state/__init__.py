"""What cacheadmin remembers between runs, outside the cache.

``tables`` declares what there is, once; ``migrations`` brings what an older release made
up to date. ``store`` reads and writes it (SQLite or PostgreSQL), ``fast_reading`` and
``fast_writing`` do for SQLite what every preflight does, without SQLAlchemy's import time.
Losing the state makes no user's present environment less safe, but what environments linked
that can't be found now (``venvs.keep_missing``) is known from nowhere else.
"""
