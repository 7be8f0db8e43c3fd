"""A real PostgreSQL on loopback, started for the tests, as a user who is not root.

with running_postgresql(folder) as url: ...      # None where there is none
with postgresql_server(folder) as server: ...    # one that can be stopped and started again
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.users import User, me


def binaries() -> Path | None:
    """Return the folder of ``initdb`` and ``postgres``; None where there is none."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists()), None)


class PostgreSQL:
    """One server with a folder of its own; it can be stopped, killed, frozen and started again."""

    def __init__(self, programs: Path, data: Path, user: User) -> None:
        self._programs = programs
        self._data = data
        self._arguments = user.process_arguments()
        self._server: subprocess.Popen[bytes] | None = None
        data.mkdir(mode=0o700)
        _give(data, user)
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "cacheadmin", "-A", "trust", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=data,
            **self._arguments,
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]

    @property
    def url(self) -> str:
        """What a policy says of it."""
        return f"postgresql+psycopg://cacheadmin@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Start it; return when it answers."""
        options = ["-h", "127.0.0.1", "-p", str(self._port), "-k", "", "-F"]
        deadline = time.monotonic() + 120
        while True:
            self._server = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, *options],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self._data,
                **self._arguments,
            )
            if self._answers(deadline):
                return
            # Children of one that was killed may live for a moment.
            assert time.monotonic() < deadline, "PostgreSQL does not start"

    def send(self, *numbers: signal.Signals) -> None:
        """Send signals to the server and its children."""
        assert self._server is not None
        children = Path(f"/proc/{self._server.pid}/task/{self._server.pid}/children").read_text()
        for number in numbers:
            for pid in [self._server.pid, *map(int, children.split())]:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it: by fast shutdown, which doesn't wait for clients to leave, or by SIGKILL."""
        if self._server is None:
            return
        if number == signal.SIGKILL:
            self.send(number)
        else:
            self._server.send_signal(number)
        self._server.wait(30)
        self._server = None

    def _answers(self, deadline: float) -> bool:
        assert self._server is not None
        while self._server.poll() is None:
            tried = subprocess.run(
                [self._programs / "pg_isready", "-h", "127.0.0.1", "-p", str(self._port)],
                capture_output=True,
                check=False,
            )
            if tried.returncode == 0:
                return True
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            # The interval between two questions.
            time.sleep(0.1)
        return False


@contextmanager
def postgresql_server(folder: Path) -> Iterator[PostgreSQL | None]:
    """Start a server in a folder that other users can enter; None where there is none."""
    programs = binaries()
    if programs is None:
        yield None
        return
    server = PostgreSQL(programs, folder / "postgresql", me() if me().uid != 0 else _account())
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def running_postgresql(folder: Path) -> Iterator[str | None]:
    """Start a server in a folder that other users can enter; yield its URL."""
    with postgresql_server(folder) as server:
        yield None if server is None else server.url


def _account() -> User:
    """Return an account that is not root; PostgreSQL wants one that has a name."""
    nobody = pwd.getpwnam("nobody")
    return User("nobody", nobody.pw_uid, nobody.pw_gid, ())


def _give(path: Path, user: User) -> None:
    if user.uid != me().uid:
        shutil.chown(path, user.uid, user.gid)
