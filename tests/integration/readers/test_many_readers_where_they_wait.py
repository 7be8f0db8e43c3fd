"""Readers that wait for storage are many, those that are busy are few, and the policy has a say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cacheadmin.readers import Question, Readers
from cacheadmin.readers.strength import Strength, Waiting, strength_of


def _wait(_: int) -> int:
    # As one that waits for storage does.
    time.sleep(0.02)
    return os.getpid()


def _work(_: int) -> int:
    until = time.process_time() + 0.02
    while time.process_time() < until:
        pass
    return os.getpid()


def _die_once(marker: str) -> int:
    # So that several have begun.
    time.sleep(0.01)
    try:
        os.unlink(marker)
    except FileNotFoundError:
        return os.getpid()
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


WAITING: Question[int, int] = Question(_wait, int, together=4)
WORKING: Question[int, int] = Question(_work, int, together=4)


def _readers_that_answered(strength: Strength, question: Question[int, int], items: int) -> int:
    with Readers(strength=strength) as readers:
        answers = readers.ask_all(question, range(items))
    assert all(isinstance(answer, int) for answer in answers)
    return len(set(answers))


def test_auto_takes_many_where_they_wait() -> None:
    assert _readers_that_answered(strength_of("auto", None), WAITING, 200) > 4


def test_auto_takes_no_more_than_two_where_they_work() -> None:
    assert _readers_that_answered(strength_of("auto", None), WORKING, 60) <= 2


def test_auto_takes_no_more_than_the_policy_says() -> None:
    assert _readers_that_answered(strength_of("auto", 3), WAITING, 100) <= 3
    assert _readers_that_answered(strength_of("auto", 1), WAITING, 20) == 1


def test_processes_are_as_many_as_the_policy_says_whatever_they_do() -> None:
    assert 4 < _readers_that_answered(strength_of("processes", 6), WORKING, 300) <= 6


def test_what_takes_a_moment_starts_no_second_one() -> None:
    assert _readers_that_answered(strength_of("auto", None), WAITING, 2) == 1


def test_a_reader_of_many_that_dies_costs_one_answer(tmp_path: object) -> None:
    markers = [f"{tmp_path}/{number}" for number in range(150)]
    with open(markers[70], "w"):
        pass
    # Its limit on file sizes does not keep a reader from deleting what is the caller's own.
    question: Question[str, int] = Question(_die_once, int, together=4)
    with Readers(strength=strength_of("auto", None)) as readers:
        answers = readers.ask_all(question, markers)
    failed = [number for number, answer in enumerate(answers) if not isinstance(answer, int)]
    assert failed == [70]


@pytest.mark.parametrize(
    ("executor", "workers", "wanted"),
    [
        ("auto", None, Strength(min(2, os.cpu_count() or 1), 16)),
        ("threads", None, Strength(min(2, os.cpu_count() or 1), 16)),
        ("auto", 1, Strength(1, 1)),
        ("auto", 64, Strength(min(2, os.cpu_count() or 1), 64)),
        ("processes", 12, Strength(12, 12)),
        ("processes", None, Strength(os.cpu_count() or 1, os.cpu_count() or 1)),
    ],
)
def test_what_the_keys_mean(executor: str, workers: int | None, wanted: Strength) -> None:
    assert strength_of(executor, workers) == wanted


@contextmanager
def _running(code: str) -> Iterator[Waiting]:
    child = subprocess.Popen(
        [sys.executable, "-c", f"print(flush=True)\n{code}"], stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        child.stdout.readline()
        yield Waiting(child.pid)
    finally:
        child.kill()
        child.communicate()


def test_a_process_that_sleeps_waits_and_one_that_computes_does_not() -> None:
    with _running("import time; time.sleep(60)") as asleep, _running("while True: pass") as busy:
        assert (asleep.is_most(), busy.is_most()) == (None, None), "nothing was measured yet"
        # What is measured: a share of real time.
        time.sleep(0.3)
        assert (asleep.is_most(), busy.is_most()) == (True, False)
    assert Waiting(2**22 + 1).is_most() is None, "there is no such process"


def test_a_reader_that_waits_for_the_process_that_asks_does_not_wait_for_storage() -> None:
    with _running("import time; time.sleep(60)") as asleep:
        asleep.is_most()
        until = time.process_time() + 0.3
        while time.process_time() < until:
            pass
        assert asleep.is_most() is not True
