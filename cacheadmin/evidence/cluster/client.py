"""The process that speaks with the scheduler: requests from stdin, answers to stdout.

Dask unpickles what comes from a scheduler, errors of tasks among it. Who has taken over a
worker could run a program wherever that is done. So it is done here: in a process that
has of root's rights only that of reading, writes to no file, and whose answers are taken
as those of a reader. A caller who is not root has nothing to give up.

Work is given out through a ``concurrent.futures`` executor; Dask's is one.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, as_completed
from typing import TYPE_CHECKING, Any

from cacheadmin.evidence.cluster.task import read_batch
from cacheadmin.readers.confinement import load_system_calls
from cacheadmin.readers.frames import framed
from cacheadmin.readers.plain_data import pack, unpack
from cacheadmin.rights.capabilities import READING, checked, keep_only

if TYPE_CHECKING:
    from collections.abc import Callable

_SET_PARENT_DEATH_SIGNAL = 1
_SET_KEEP_CAPABILITIES = 8
_SET_NO_NEW_PRIVILEGES = 38

_NOBODY = 65534

# A batch whose worker died is given to another one; so often.
_RETRIES = 3

_CONNECT_SECONDS = 10

Answer = tuple[int, bytes | None, str]
"""Number of a batch, what a worker answered, and why there is no answer."""


def answers(
    executor: Executor, look: bytes, batches: Sequence[bytes], read: Callable[..., bytes]
) -> Iterator[Answer]:
    """Yield the answer of each batch, in the order in which they come."""
    numbers: dict[Future[bytes], int] = {
        executor.submit(read, look, batch): number for number, batch in enumerate(batches)
    }
    for future in as_completed(numbers):
        number = numbers[future]
        try:
            answer = future.result()
        except Exception as error:
            # Whatever it was: this batch is read by who asks.
            yield number, None, f"{type(error).__name__}: {error}"[:300]
        else:
            yield number, answer if isinstance(answer, bytes) else None, ""


def main() -> None:
    """Read an address, a look and batches; write the answers, a frame each."""
    libc = load_system_calls()
    address, look, batches = unpack(sys.stdin.buffer.read())
    try:
        from distributed import Client  # noqa: PLC0415  an extra
    except ImportError:
        _say((-1, None, "the extra cacheadmin[dask] is not installed"))
        return
    _give_up_rights(libc)
    try:
        connect: Any = Client
        client = connect(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except Exception as error:
        _say((-1, None, f"{type(error).__name__}: {error}"[:300]))
        return
    executor = client.get_executor(pure=False, retries=_RETRIES)
    for answer in answers(executor, look, batches, read_batch):
        _say(answer)
    sys.stdout.buffer.flush()
    # Closing waits for a scheduler that may be gone.
    os._exit(0)


def _say(answer: Answer) -> None:
    sys.stdout.buffer.write(framed(pack(answer)))
    sys.stdout.buffer.flush()


def _give_up_rights(libc: Any) -> None:
    checked(libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    if 0 in os.getresuid():
        # Where root acts as an account, its own ids are still at hand.
        os.seteuid(0)
        checked(libc.prctl(_SET_KEEP_CAPABILITIES, 1, 0, 0, 0))
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        # Modules that are imported later may lie where no account but root looks.
        keep_only(libc, READING)
    checked(libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


if __name__ == "__main__":
    main()
