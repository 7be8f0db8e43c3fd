"""A real PostgreSQL on loopback, started for the tests, as a user who is not root.

with running_postgresql(folder) as url: ...      # None where there is none
"""

from __future__ import annotations

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


@contextmanager
def running_postgresql(folder: Path) -> Iterator[str | None]:
    """Start a server in a folder that other users can enter; yield its URL."""
    programs = binaries()
    if programs is None:
        yield None
        return
    user = me() if me().uid != 0 else _account()
    data = folder / "postgresql"
    data.mkdir(mode=0o700)
    _give(data, user)
    arguments = user.process_arguments()
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "cacheadmin", "-A", "trust", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=data,
        **arguments,
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["-h", "127.0.0.1", "-p", str(port), "-k", "", "-F"]
    server = subprocess.Popen(
        [programs / "postgres", "-D", data, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=data,
        **arguments,
    )
    try:
        _wait(port)
        yield f"postgresql+psycopg://cacheadmin@127.0.0.1:{port}/postgres"
    finally:
        # Fast shutdown: it doesn't wait for clients to leave.
        server.send_signal(signal.SIGINT)
        server.wait(30)


def _account() -> User:
    """Return an account that is not root; PostgreSQL wants one that has a name."""
    nobody = pwd.getpwnam("nobody")
    return User("nobody", nobody.pw_uid, nobody.pw_gid, ())


def _give(path: Path, user: User) -> None:
    if user.uid != me().uid:
        shutil.chown(path, user.uid, user.gid)


def _wait(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=1)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            connection.close()
            return
