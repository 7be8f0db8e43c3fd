"""The command line in a process of its own, without importing it anew each time.

    code, stdout, stderr = run_warm(arguments, environment, cwd, timeout)

Half of the time of a call is imports, and tests make hundreds of calls. One
server for each thread that asks imports everything once, and forks for each
call: a real process with its own exit code, output, environment and folder.
What depends on how an interpreter is started needs a cold start; so does
another user, who has a Python of his own.
"""

from __future__ import annotations

import array
import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from functools import cache

from tests.support.uv_releases import REPOSITORY

_STARTING = ("PYTHON", "LC_", "LANG", "LD_")
_servers = threading.local()


def starts_alike(environment: Mapping[str, str]) -> bool:
    """Whether an interpreter started with these extra variables is the server's."""
    return not any(name.startswith(_STARTING) for name in environment)


def run_warm(
    arguments: Sequence[str], environment: Mapping[str, str], cwd: str, timeout: float
) -> tuple[int, bytes, bytes]:
    """Run one command; return its exit code (negative: the signal) and both outputs.

    Raises subprocess.TimeoutExpired when it took longer; it is killed then.
    """
    server = getattr(_servers, "own", None)
    if server is None or server.pid != os.getpid():
        server = _servers.own = _Server()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        request = {"arguments": list(arguments), "environment": dict(environment), "cwd": cwd}
        code = server.ask(request, out.fileno(), err.fileno(), timeout)
        out.seek(0)
        err.seek(0)
        return code, out.read(), err.read()


class _Server:
    """Our end of one server; it ends when this end is closed."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm_start", str(theirs.fileno())],
            env={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "LC_ALL": "C.UTF-8",
                "PYTHONPATH": os.fspath(REPOSITORY),
            },
            cwd="/",
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        # Also when Python ends: one that is dropped while it runs is a warning.
        weakref.finalize(self, _end, self.socket, process)

    def ask(self, request: object, out: int, err: int, timeout: float) -> int:
        fds = array.array("i", [out, err])
        self.socket.sendmsg(
            [json.dumps(request).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
        )
        pid = int(self.socket.recv(64))
        self.socket.settimeout(timeout)
        try:
            return int(self.socket.recv(64))
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self.socket.settimeout(None)
            self.socket.recv(64)
            raise subprocess.TimeoutExpired(str(request), timeout) from None
        finally:
            self.socket.settimeout(None)


def _end(connection: socket.socket, process: subprocess.Popen[bytes]) -> None:
    connection.close()
    process.wait()


@cache
def import_everything() -> None:
    """Have all of cacheadmin ready, so that a child that is forked has it."""
    import importlib
    import pkgutil

    import cacheadmin

    for module in pkgutil.walk_packages(cacheadmin.__path__, "cacheadmin."):
        importlib.import_module(module.name)
    _prepare()


def _serve(connection: socket.socket) -> None:
    import_everything()
    while True:
        message, fds, _, _ = socket.recv_fds(connection, 1 << 20, 2)
        if not message:
            return
        child = os.fork()
        if child == 0:
            connection.close()
            _become(json.loads(message), *fds)
        for fd in fds:
            os.close(fd)
        connection.send(str(child).encode())
        _, status = os.waitpid(child, 0)
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())


def _prepare() -> None:
    """Do once what every call would do: what is made on first use, and looking for garbage."""
    import concurrent.futures  # noqa: F401 - those that a function of ours imports

    import tabulate  # noqa: F401

    from cacheadmin.cli.program import build_program
    from cacheadmin.policy.parser import parse_policy

    build_program(whole=True)
    parse_policy(b"name: warm\nversion: 1\ncache: /nonexistent\n", "warm.yaml")
    for module in [found for name, found in sys.modules.items() if name.startswith("cacheadmin.")]:
        for value in tuple(vars(module).values()):
            _make_first(value)
    gc.collect()
    gc.freeze()


def _make_first(value: object) -> None:
    """Make what a value class, or a question to readers, makes when it is first used."""
    from cacheadmin import values
    from cacheadmin.readers.plain_data import decoder
    from cacheadmin.readers.questions import Question

    if isinstance(value, Question):
        decoder(value.answers)
    elif isinstance(value, type) and "_compiled_when_called" in value.__init__.__qualname__:
        value.__init__ = values._compiled_init(value)  # type: ignore[misc]


def _become(request: dict[str, object], out: int, err: int) -> None:
    """Be a process that was started for this request alone; never return."""
    code = 1
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)
        environment = request["environment"]
        os.environ.clear()
        os.environ.update(environment)  # type: ignore[arg-type]
        _live_at(os.environ["HOME"])
        os.chdir(str(request["cwd"]))
        sys.argv = ["cacheadmin", *request["arguments"]]  # type: ignore[misc]
        from cacheadmin.__main__ import main

        try:
            main()
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 0
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _live_at(home: str) -> None:
    """Let the caller's account have that home: what lies in the real one is no matter of a test.

    Evidence searches homes by the list of accounts, whatever HOME says.
    """
    import pwd

    by_number, every = pwd.getpwuid, pwd.getpwall

    def moved(entry: pwd.struct_passwd) -> pwd.struct_passwd:
        is_own = entry.pw_uid == os.geteuid()
        return pwd.struct_passwd((*entry[:5], home, *entry[6:])) if is_own else entry

    pwd.getpwuid = lambda uid: moved(by_number(uid))
    pwd.getpwall = lambda: list(map(moved, every()))


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
