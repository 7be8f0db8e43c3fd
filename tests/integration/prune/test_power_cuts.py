"""What a disk holds when the power goes amid a prune: see ``tests.power_cuts``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.commands import commands
from tests.power_cuts.cuts import all_cuts
from tests.power_cuts.recorded_disk import KINDS, Entry, why_not
from tests.power_cuts.trying import record_and_try
from tests.support.warm_start import import_everything

# So many cuts of each command on each filesystem, spread over all of it.
_SOME = 6
_MANY = 40


def _try(folder: Path, kind: str, name: str, number: int) -> None:
    if why := why_not(kind):
        pytest.skip(why)
    import_everything()
    cuts, trials = record_and_try(folder, kind, commands()[name], number=number)
    assert cuts > len(trials) // 2
    assert len(trials) >= min(number, cuts)
    assert [str(trial) for trial in trials if trial.wrong] == []


@pytest.mark.root
@pytest.mark.parametrize("kind", KINDS)
def test_a_power_cut_amid_a_prune_loses_nothing(tmp_path: Path, kind: str) -> None:
    _try(tmp_path, kind, "prune", _SOME)


@pytest.mark.root
@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [name for name in commands() if name != "observe"])
def test_many_power_cuts_amid_each_command_lose_nothing(
    tmp_path: Path, kind: str, name: str
) -> None:
    _try(tmp_path, kind, name, _MANY)


def test_cuts_leave_what_was_flushed_and_any_part_of_the_rest() -> None:
    first, second, third = (Entry(place * 512, b"x" * 512, False, False) for place in range(3))
    flush = Entry(0, b"", True, False)
    log = [first, flush, second, flush, third, first]
    cuts = list(all_cuts(log, begin=2, between=40, seed=1))
    assert [cut.flushed for cut in cuts if "at flush" in str(cut)] == [4]
    # A write that was torn before its first sector has done nothing.
    left = {(cut.flushed, tuple(one for one in cut.pending if one.content)) for cut in cuts}
    assert {rest for flushed, rest in left if flushed == 2} == {(), (second,)}
    # In any order: the later one without the first, too.
    expected = {(), (first,), (third,), (third, first)}
    assert {rest for flushed, rest in left if flushed == 4} == expected
