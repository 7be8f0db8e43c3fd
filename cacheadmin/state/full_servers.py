"""Wait for a place at a PostgreSQL that has as many clients as it takes.

Timers of two hundred hosts go off in the same minute, and a server takes a
hundred clients unless it is told otherwise. Each of them stays for milliseconds,
so who is turned away comes again.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Engine

_PATIENCE_SECONDS = 60.0
_LONGEST_PAUSE = 1.0

# A server gives no code of the error before a session has begun, only words.
_TURNED_AWAY = ("too many clients", "too many connections", "remaining connection slots")


def wait_at_full_servers(engine: Engine) -> None:
    """Have an engine try again for a minute where a server has no place for another client."""
    from sqlalchemy import event

    event.listen(engine, "do_connect", _connect)


def _connect(dialect: Any, _record: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    pause = 0.05
    while True:
        try:
            return dialect.connect(*arguments, **named)
        except dialect.loaded_dbapi.OperationalError as error:
            full = any(words in str(error) for words in _TURNED_AWAY)
            if not full or time.monotonic() > deadline:
                raise
        # All were turned away at once, and must not all come again at once.
        time.sleep(pause * os.urandom(1)[0] / 256)
        pause = min(pause * 2, _LONGEST_PAUSE)
