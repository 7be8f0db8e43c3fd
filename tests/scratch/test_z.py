from __future__ import annotations
import os, subprocess, shutil, sys
from pathlib import Path
import pytest
from tests.integration.prune import test_last_look_under_the_lock as L
from tests.support.shared_cache import dangling_links, age
from tests.support.wheel_archives import empty_cache, write_archive, write_tool
from cacheadmin.evidence.look import Moment


# 17 tools made meanwhile, link six which is an orphan or unused
@pytest.mark.parametrize("number", [16, 17])
def test_many(open_folder, cacheadmin, number):
    cache = empty_cache(open_folder / "cache")
    six = write_archive(cache, "six", {"six.py": b""})
    age(cache, 40)
    policy = cacheadmin.policy(cache, "hosts: {only: this}\n")
    with L.between(policy) as (planned, last):
        print(planned)
        for i in range(number):
            tool = cache / "archive-v0" / f"zzzz_zzzzzzzz{i:03}"
            packages = tool / "lib" / "python3.11" / "site-packages"
            packages.mkdir(parents=True)
            (tool / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.13.8\n")
            for one in six.iterdir():
                (packages / one.name).symlink_to(one)
            published = cache / "environments-v2" / f"0123456789abc{i:03}" / "fedcba9876543210"
            published.parent.mkdir(parents=True)
            published.symlink_to(tool)
        print(number, L.dropped(last.look()))
        print(number, L.dropped(last.look(Moment.AFTER_MOVES)))
