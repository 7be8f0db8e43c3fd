"""Whose turn it is on a cache, told by a PostgreSQL that hosts share.

A session-level advisory lock: the server frees it when the session ends, so a
holder that dies needs no other host's clock. Beside it a row says who has it, for
people, and has a number that grows with every turn: the fence.
"""

from __future__ import annotations

import hashlib
import queue
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cacheadmin.fs.quiet_threads import start_quiet_thread
from cacheadmin.state.store import State, StateUnusable

if TYPE_CHECKING:
    from sqlalchemy import Connection

# A server that keeps silent for so long has lost us, or we it.
_ANSWER_SECONDS = 5.0

# The server drops the session of a host that vanished after some 30 s.
_SETTINGS = (
    "SET tcp_keepalives_idle = 15",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
    "SET tcp_user_timeout = 30000",
    f"SET statement_timeout = {int(_ANSWER_SECONDS * 1000)}",
)


class AdvisoryLock(State):
    """The turn on one cache, in one session of its own. Every method raises StateUnusable.

    The session lives in a thread: a server that was stopped still holds the
    connection, and would keep a caller waiting for ever.
    """

    def __init__(self, state: State, token: str) -> None:
        super().__init__(state.url, state.cache)
        self._token = token
        digest = hashlib.sha256(f"cacheadmin:{token}".encode()).digest()
        self._lock_key = int.from_bytes(digest[:8], "big", signed=True)
        self._connection: Connection | None = None
        self._backend = 0
        self._session_thread: tuple[queue.SimpleQueue[_Question | None], threading.Thread] | None
        self._session_thread = None

    def try_take(self, holder: str) -> tuple[int | None, str]:
        """Take the lock and note a holder; return the number of the turn, and who has it else.

        The number is None where another has it.
        """
        if self._session_thread is None:
            asked: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()
            self._session_thread = asked, start_quiet_thread(lambda: _serve(asked))
        found: tuple[int | None, str] = self._ask(lambda: self._take(holder))
        return found

    def number(self) -> int | None:
        """Return the number of the turn for as long as the very session holds the lock."""
        found: int | None = self._ask(self._read_number)
        return found

    def close(self) -> None:
        """End the session, and with it the lock."""
        if self._session_thread is None:
            return
        try:
            self._ask(self._disconnect)
        except StateUnusable:
            # The server frees it when it notices.
            pass
        (asked, thread), self._session_thread = self._session_thread, None
        asked.put(None)
        # One that waits for a server in vain ends with the process.
        thread.join(1.0)

    # In the thread

    def _take(self, holder: str) -> tuple[int | None, str]:
        from sqlalchemy import text

        if self._connection is None:
            self._begin_session()
        connection = self._of_session()
        asked = {"key": self._lock_key, "cache": self._token, "holder": holder}
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), asked):
            row = connection.scalar(text("SELECT holder FROM turn WHERE cache = :cache"), asked)
            return None, str(row or "")
        statement = (
            "INSERT INTO turn (cache, number, holder) VALUES (:cache, 1, :holder) "
            "ON CONFLICT (cache) DO UPDATE SET number = turn.number + 1, holder = :holder "
            "RETURNING number"
        )
        return int(connection.scalar(text(statement), asked) or 0), holder

    def _read_number(self) -> int | None:
        from sqlalchemy import text

        connection = self._of_session()
        # A pool between us and the server may have given us another session.
        row = connection.execute(
            text("SELECT pg_backend_pid(), number FROM turn WHERE cache = :cache"),
            {"cache": self._token},
        ).first()
        return int(row[1]) if row is not None and row[0] == self._backend else None

    def _begin_session(self) -> None:
        from sqlalchemy import text

        connection = self._connect().connect().execution_options(isolation_level="AUTOCOMMIT")
        for setting in _SETTINGS:
            connection.execute(text(setting))
        self._backend = int(connection.scalar(text("SELECT pg_backend_pid()")) or 0)
        self._connection = connection

    def _disconnect(self) -> None:
        from sqlalchemy import text

        connection, self._connection = self._connection, None
        if connection is not None:
            # The end of a session takes the server a moment longer.
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": self._lock_key})
            connection.close()

    def _of_session(self) -> Connection:
        if self._connection is None:
            raise StateUnusable(f"the state {self.shown()} has ended our session")
        return self._connection

    # Outside of it

    def _ask(self, work: Callable[[], Any]) -> Any:
        if self._session_thread is None:
            raise StateUnusable(f"the state {self.shown()} has ended our session")
        question = _Question(work)
        self._session_thread[0].put(question)
        if not question.answered.wait(_ANSWER_SECONDS * 2):
            self._hang_up()
            raise StateUnusable(
                f"the state {self.shown()} does not answer",
                hint="look after that PostgreSQL server, then run it again",
            )
        if question.error is not None:
            self._connection = None
            with self._explained():
                raise question.error
        return question.result

    def _hang_up(self) -> None:
        """Close the connection under a session that waits for a server in vain."""
        connection, self._connection = self._connection, None
        try:
            fd = connection.connection.driver_connection.fileno()  # type: ignore[union-attr]
            with socket.fromfd(fd, socket.AF_INET, socket.SOCK_STREAM) as ours:
                ours.shutdown(socket.SHUT_RDWR)
        except (AttributeError, OSError):
            # It was never there, or is closed already.
            pass


def _serve(asked: queue.SimpleQueue[_Question | None]) -> None:
    while (question := asked.get()) is not None:
        question.answer()


class _Question:
    """Something to be done in the session's thread, and what came of it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self.result: Any = None
        self.error: Exception | None = None
        self.answered = threading.Event()

    def answer(self) -> None:
        """Do it."""
        try:
            self.result = self._work()
        except Exception as error:
            # Told to who asked, whatever it is.
            self.error = error
        self.answered.set()
