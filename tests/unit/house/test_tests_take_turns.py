"""A test that is alone waits for those that run, and those that come later wait for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.taking_turns import FOLDER
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
            env=os.environ | {FOLDER: os.fspath(tmp_path)},
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


# Fails while it has others beside it; the lock of the turns says which.
_BESIDE = """
import fcntl, pathlib, tempfile

def others_may_run():
    (file,) = pathlib.Path(tempfile.gettempdir()).glob("cacheadmin-tests-of-*.tests")
    with file.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True

def test_that_others_disturb():
    assert not others_may_run()

def test_that_is_wrong_alone_too():
    assert others_may_run() and False
"""


def test_what_fails_beside_others_is_asked_again_alone(tmp_path: Path) -> None:
    (tmp_path / "test_asked.py").write_text(_BESIDE)
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", os.fspath(tmp_path)]
    command += ["-p", "tests.support.again_alone", "-p", "no:cacheprovider"]
    command += ["--reruns", "1", "--max-suite-reruns", "5", "-rA", "test_asked.py"]
    asked = subprocess.run(
        command,
        check=False,
        env=os.environ
        | dict.fromkeys((FOLDER, "TMPDIR"), os.fspath(tmp_path))
        | {"PYTHONPATH": os.fspath(REPOSITORY)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert asked.returncode == 1, asked.stdout
    assert "1 failed, 1 passed, 2 rerun" in asked.stdout
    assert "PASSED test_asked.py::test_that_others_disturb" in asked.stdout
