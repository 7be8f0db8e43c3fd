"""A test that fails beside others is asked again alone: its own fault stays, theirs does not.

Evidence is of the whole machine, and no mark foresees each process of each other test. With
``--reruns 1`` (``make test``) what failed is run once more while no other test runs
(``taking_turns``). What fails then fails the run; what passes is named at the end, with what
it said beside others in ``.test-failures``, since that may be a fault of the product too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.taking_turns import turn

_TURN = pytest.StashKey[ExitStack]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Wait for this test's turn: alone where others would notice it, or when it is asked again."""
    # pytest-rerunfailures counts; without it each test runs once.
    again = getattr(item, "execution_count", 1) > 1
    item.stash[_TURN] = stack = ExitStack()
    stack.enter_context(turn(alone=again or item.get_closest_marker("alone") is not None))
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Let others have their turn, when all that the test made is gone."""
    try:
        return (yield)
    finally:
        item.stash[_TURN].close()
