from __future__ import annotations
import os, subprocess, shutil
from pathlib import Path
import pytest
from cacheadmin.evidence.look import Moment
from tests.integration.prune.test_last_look_under_the_lock import *  # noqa
from tests.integration.prune.test_last_look_under_the_lock import (
    between,
    running,
    is_up,
    dropped,
    SLEEP,
    orphans,
)

for _n in [n for n in list(globals()) if n.startswith("test_")]:
    del globals()[_n]


@pytest.mark.parametrize("how", ["second", "slow"])
def test_h26(shared, cacheadmin, orphans, how):
    environment, archives = orphans
    with between(cacheadmin.policy(shared.path)) as (planned, last):
        assert planned >= archives
        with running(environment / "bin" / "python", "-c", SLEEP, env={}) as process:
            is_up(process)
            kept = dropped(last.look())
            assert set(kept) >= archives
            if how == "slow":
                print(len(dropped(last.look(Moment.BEFORE_LOCK))))
            kept2 = dropped(last.look())
            print(how, set(kept2) >= archives, kept2)
            kept3 = dropped(last.look(Moment.AFTER_MOVES))
            print(how, set(kept3) >= archives, kept3)
