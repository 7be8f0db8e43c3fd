"""A test that is alone waits for those that run, and those that come later wait for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.uv_releases import REPOSITORY
from tests.support.waiting import until

# Says when it has its turn, and keeps it until it is told to go on.
_PROGRAM = """
import sys
from tests.support.taking_turns import turn
with turn(alone=sys.argv[1] == "alone"):
    print("runs", flush=True)
    sys.stdin.readline()
"""


def test_one_that_is_alone_has_no_other_beside_it(tmp_path: Path) -> None:
    def start(kind: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, kind],
            cwd=REPOSITORY,
            env=os.environ | {"TMPDIR": os.fspath(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def has_begun(process: subprocess.Popen[str]) -> bool:
        assert process.stdout is not None
        return process.stdout.readline() == "runs\n"

    def waits(process: subprocess.Popen[str]) -> bool:
        # "5: -> FLOCK  ADVISORY  WRITE 4711 ..."
        rows = map(str.split, Path("/proc/locks").read_text().splitlines())
        return any(row[1] == "->" and row[5] == str(process.pid) for row in rows)

    first, second = start("beside"), start("beside")
    assert has_begun(first) and has_begun(second)
    alone = start("alone")
    until(lambda: waits(alone))
    later = start("beside")
    until(lambda: waits(later))
    first.communicate("\n")
    # The kernel wakes who waits, to look again, whenever one lets go.
    until(lambda: waits(alone))
    second.communicate("\n")
    assert has_begun(alone)
    until(lambda: waits(later))
    alone.communicate("\n")
    assert has_begun(later)
    later.communicate("\n")
