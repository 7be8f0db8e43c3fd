"""A reader that hangs, grows or dies costs one answer, and leaves nothing behind."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cacheadmin.readers import Question, ReaderLimits, Readers, Unreadable
from cacheadmin.readers.plain_data import NotThatShapeError, from_plain, pack, unpack
from tests.support.users import User, other_users
from tests.support.uv_releases import REPOSITORY
from tests.support.waiting import until

EVE, ANA = 61003, 61001
LIMITS = ReaderLimits(memory_bytes=1 << 28, cpu_seconds=1, deadline_seconds=3)


@dataclass(frozen=True)
class Seen:
    name: str
    words: tuple[str, ...]


def _hang() -> None:
    time.sleep(600)  # it hangs


def _loop() -> None:
    while True:
        pass


def _grow() -> None:
    parts = []
    while True:
        parts.append(bytearray(1 << 22))


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _leave() -> None:
    os._exit(0)


def _fail() -> None:
    raise ValueError("what a parser says")


def _recurse() -> None:
    _recurse()


def _talk_nonsense() -> None:
    connection = next(
        fd for fd in range(3, 500) if os.path.exists(f"/proc/self/fd/{fd}") and _is_socket(fd)
    )
    os.write(connection, b"\xff" * 100)
    time.sleep(600)  # it hangs


def _is_socket(fd: int) -> bool:
    return os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")


FAULTS = {
    "hang": (_hang, "it gave no answer within 3 s"),
    "stop": (_stop, "it gave no answer within 3 s"),
    "loop": (_loop, "it takes more than 1 s of CPU time"),
    "grow": (_grow, "it takes more memory than an answer may"),
    "die": (_die, "its reader was ended by SIGKILL"),
    "leave": (_leave, "its reader ended"),
    "fail": (_fail, "ValueError: what a parser says"),
    "recurse": (_recurse, "RecursionError"),
    "nonsense": (_talk_nonsense, "its reader answered more than an answer may have"),
}


WAITED_FOR = ("hang", "stop")


def read(item: str) -> Seen:
    if item in FAULTS:
        FAULTS[item][0]()
    return Seen(item, ("\udcff", "ü"))


def whose(item: str) -> int:
    return EVE if item in FAULTS else ANA


QUESTION = Question(read, Seen, whose=whose)


def children() -> list[str]:
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [pid for pid in text.split() if _is_reader(pid)]


def _is_reader(pid: str) -> bool:
    return Path(f"/proc/{pid}/comm").read_text().strip() == "cacheadmin-read"


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_one_answer_with_its_owner_and_nothing_is_left(fault: str) -> None:
    # A busy machine gives little CPU time in three seconds.
    patient = replace(LIMITS, deadline_seconds=60)
    with Readers(LIMITS if fault in WAITED_FOR else patient) as readers:
        answers = readers.ask_all(QUESTION, ["a", "b", fault, "c", "d"])
        # The next question finds readers as good as new.
        assert readers.ask(QUESTION, "e") == Seen("e", ("\udcff", "ü"))
    failed = answers.pop(2)
    assert isinstance(failed, Unreadable)
    assert failed.uid == EVE
    assert FAULTS[fault][1] in failed.reason
    assert answers == [Seen(name, ("\udcff", "ü")) for name in "abcd"]
    assert children() == []


def test_a_thousand_items_are_answered_in_their_order() -> None:
    with Readers(LIMITS) as readers:
        names = [str(number) for number in range(1000)]
        answers = readers.ask_all(QUESTION, names)
    assert [one.name for one in answers if isinstance(one, Seen)] == names


def test_what_one_account_has_costs_little_more_than_one_deadline() -> None:
    begun = time.monotonic()
    with Readers(LIMITS) as readers:
        answers = readers.ask_all(QUESTION, [*["hang"] * 50, "mine"])
    assert time.monotonic() - begun < 2 * LIMITS.deadline_seconds
    assert answers.pop() == Seen("mine", ("\udcff", "ü"))
    assert all(isinstance(one, Unreadable) and one.uid == EVE for one in answers)
    last = answers[-1]
    assert isinstance(last, Unreadable)
    assert last.reason == (
        "too much else of the same owner could not be read (it gave no answer within 3 s)"
    )


def test_things_of_an_account_that_failed_before_are_not_asked_for_at_all() -> None:
    question = Question(read, Seen, blame=whose)
    with Readers(LIMITS) as readers:
        readers.learn((question, QUESTION))
        readers.ask_all(question, ["die"] * 3)
        begun = time.monotonic()
        answers = readers.ask_all(QUESTION, ["hang"] * 20)
        assert time.monotonic() - begun < LIMITS.deadline_seconds
    assert {one.uid for one in answers if isinstance(one, Unreadable)} == {EVE}


def test_an_answer_of_another_shape_is_none() -> None:
    question = Question(lambda item: [item, item], Seen)
    with Readers(LIMITS) as readers:
        answer = readers.ask(question, "a")
    assert isinstance(answer, Unreadable)
    assert answer.reason == "its reader answered what is no answer"


def test_parts_that_came_before_a_failure_are_kept() -> None:
    def parts(item: str):
        yield Seen("first", ())
        time.sleep(0.01)  # between two parts of an answer
        yield Seen("second", ())
        if item == "hang":
            time.sleep(600)  # it hangs

    question = Question(parts, Seen, in_parts=True)
    limits = ReaderLimits(deadline_seconds=1)
    with Readers(limits) as readers:
        whole, broken = readers.replies(question, ["all", "hang"])
    assert [one.name for one in whole.parts] == ["first", "second"]
    assert whole.failed is None
    assert broken.failed is not None
    assert [one.name for one in broken.parts] == ["first", "second"]


def test_what_readers_noted_is_forgotten_for_a_later_look() -> None:
    noted: list[str] = []

    def count(item: str) -> int:
        noted.append(item)
        return len(noted)

    question = Question(count, int, forget=noted.clear)
    with Readers(LIMITS) as readers:
        assert [readers.ask(question, "a"), readers.ask(question, "a")] == [1, 2]
        readers.renew()
        assert readers.ask(question, "a") == 1


# Rights


def status_of(readers: Readers) -> dict[str, str]:
    question = Question(lambda item: Path(item).read_text(), str)
    text = readers.ask(question, "/proc/self/status")
    assert isinstance(text, str)
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


@pytest.mark.root
def test_of_roots_rights_readers_have_two_and_can_gain_none() -> None:
    with Readers(LIMITS) as readers:
        status = status_of(readers)
    # CAP_DAC_READ_SEARCH is bit 2, CAP_SYS_PTRACE bit 19 (<linux/capability.h>).
    assert int(status["CapPrm"], 16) & ~(1 << 2 | 1 << 19) == 0
    assert int(status["CapPrm"], 16) & 1 << 2
    assert status["CapEff"] == status["CapPrm"]
    assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0
    assert status["NoNewPrivs"] == "1"


def test_readers_have_limits_and_only_the_descriptors_that_they_need() -> None:
    def own(item: str) -> list[str]:
        limits = [
            resource.getrlimit(one)[0] for one in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE)
        ]
        return [*map(str, limits), *sorted(os.listdir("/proc/self/fd"), key=int)]

    left, right = socket.socketpair()
    with left, right:
        kept = str(left.fileno())
        with Readers(LIMITS, keep=(left.fileno(),)) as readers:
            answer = readers.ask(Question(own, list[str]), "")
    assert isinstance(answer, list)
    core, size, *fds = answer
    assert (core, size) == ("0", "0")
    # Standard input and outputs, its own line, what was to be kept, the listed folder.
    assert len(fds) == 6
    assert kept in fds


_AS_USER = """
import sys
from cacheadmin.readers import Question, ReaderLimits, Readers
with Readers(ReaderLimits()) as readers:
    question = Question(lambda item: open(item).read(), str)
    print(readers.ask(question, "/proc/self/status"))
    print(readers.ask(question, sys.argv[1]))
"""


@pytest.mark.root
def test_a_plain_users_readers_have_no_rights_at_all(tmp_path: Path, open_folder: Path) -> None:
    (ana,) = other_users(1)
    secret = open_folder / "secret"
    secret.write_text("nobody reads this")
    secret.chmod(0o600)
    said = as_user(ana, _AS_USER, str(secret))
    assert "CapPrm:\t0000000000000000" in said
    assert "NoNewPrivs:\t1" in said
    assert "Permission denied" in said
    assert "nobody reads this" not in said


def as_user(user: User, script: str, *arguments: str) -> str:
    from tests.support.cacheadmin_cli import Cacheadmin

    runner = Cacheadmin(Path("/nonexistent"))
    command = runner.command(user=user)[0]
    environment = {"PYTHONPATH": _modules(), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [command, "-c", script, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        **user.process_arguments(),
    )
    return done.stdout


def _modules() -> str:
    from tests.support import cacheadmin_cli

    return os.fspath(cacheadmin_cli._open_modules())


# The end of who asks

_ASKING = """
import sys, time
from cacheadmin.readers import Question, ReaderLimits, Readers
with Readers(ReaderLimits()) as readers:
    readers.ask_all(Question(lambda item: time.sleep(600), str), range(4))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_readers_end_with_who_asks(number: signal.Signals) -> None:
    asking = subprocess.Popen(
        [sys.executable, "-c", _ASKING],
        env={"PYTHONPATH": os.fspath(REPOSITORY), "PATH": "/usr/bin:/bin"},
        stderr=subprocess.PIPE,
    )
    readers: list[str] = []

    def are_started() -> bool:
        assert asking.poll() is None, asking.communicate()[1]
        text = Path(f"/proc/{asking.pid}/task/{asking.pid}/children").read_text()
        readers[:] = [pid for pid in text.split() if _is_reader(pid)]
        return len(readers) >= min(2, os.cpu_count() or 1)

    until(are_started)
    asking.send_signal(number)
    asking.communicate(timeout=60)
    until(lambda: not any(map(_is_alive, readers)))


def _is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


# Plain data


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (int, "1"),
        (int, True),
        (str, b"x"),
        (Seen, ["a"]),
        (Seen, ["a", ["b"], "c"]),
        (Seen, ["a", [1]]),
        (Seen, {"name": "a"}),
        (tuple[int, str], [1]),
        (int | None, "no"),
        (dict[str, int], [["a", 1]]),
    ],
)
def test_what_is_not_of_the_shape_is_refused(shape: object, value: object) -> None:
    with pytest.raises(NotThatShapeError):
        from_plain(shape, value)


def test_plain_data_comes_back_as_it_was() -> None:
    seen = Seen("a\udcff", ("x", "y"))
    assert from_plain(Seen, unpack(pack(seen))) == seen
    assert from_plain(frozenset[str], unpack(pack(frozenset({"a", "b"})))) == {"a", "b"}
    assert from_plain(tuple[int, str] | None, unpack(pack((1, "a")))) == (1, "a")
    assert from_plain(tuple[int, str] | None, unpack(pack(None))) is None
