"""A mount that other processes do not have, with a Python that runs beside it.

with python_in_own_mounts('mount --bind "$1" "$2"', cache, seen_at) as pid: ...
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_RUNS = "exec python3 -c 'import sys; print(1, flush=True); sys.stdin.read()'"


@contextmanager
def python_in_own_mounts(words: str, *arguments: Path | str) -> Iterator[int]:
    """Run shell words in a mount namespace with the machine's root, then a Python; yield its pid.

    ``arguments`` are $1 and so on. Skips the test where the words fail.
    """
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-ec", f"{words} && {_RUNS}", "sh", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        if process.stdout.readline() != b"1\n":
            pytest.skip("it can't be mounted in a namespace of its own here")
        try:
            yield process.pid
        finally:
            process.kill()
