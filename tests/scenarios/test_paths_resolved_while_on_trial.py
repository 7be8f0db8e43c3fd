"""A path that was resolved while its entry was on trial holds when the entry is back.

``Path(__file__).resolve()`` tells where a package lies at that moment. A service that
started while its packages were on trial goes on opening files below that path; a user
may have made links there. The entry comes back within a minute of that use.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios.test_nobody_seen_goes_on_trial import (
    archives_of,
    is_whole,
    looking_elsewhere,
    moved_out_of_sight,
    prune,
)
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.passing_time import let_days_pass
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.uv_releases import NEWEST

SERVICE = """
import pathlib, sys, cowsay
place = pathlib.Path(cowsay.__file__).resolve().parent
print(place, flush=True)
for line in sys.stdin:
    print(len((place / "characters.py").read_bytes()), flush=True)
"""


@pytest.fixture
def hidden(shared: SharedCache) -> Path:
    """An environment that no source knows, whose archives no pointer names."""
    return moved_out_of_sight(shared, "six==1.16.0", "cowsay==6.0")


def test_a_service_goes_on_by_the_paths_it_resolved_whatever_users_prune(
    cacheadmin: Cacheadmin, shared: SharedCache, hidden: Path
) -> None:
    text = looking_elsewhere(shared) + "protect: {enabled: true}\n"
    policy = cacheadmin.policy(shared.path, text, complete=False)
    used = archives_of(hidden)
    assert set(prune(cacheadmin, policy)["trial"]["planted"]) == used
    with subprocess.Popen(
        [hidden / "bin" / "python", "-c", SERVICE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as service:
        assert service.stdin is not None
        assert service.stdout is not None
        assert "cacheadmin.trial" in service.stdout.readline()

        def works() -> bool:
            service.stdin.write("\n")
            service.stdin.flush()
            return int(service.stdout.readline()) > 0

        assert works()
        assert set(prune(cacheadmin, policy)["trial"]["put_back"]) == used
        assert works()
        for release in (NEWEST, "0.8.5"):
            shared.uv(release, "cache", "prune")
            assert works()
            # Roots that a prune of another release took are planted again.
            prune(cacheadmin, policy)
            assert works()
        service.stdin.close()
        assert service.wait() == 0
    assert all(is_whole(shared.path, entry) for entry in used)


def test_links_that_a_user_made_to_the_place_on_trial_stay_whole(
    cacheadmin: Cacheadmin, shared: SharedCache, hidden: Path
) -> None:
    policy = cacheadmin.policy(shared.path, looking_elsewhere(shared), complete=False)
    used = archives_of(hidden)
    prune(cacheadmin, policy)
    project = shared.path.with_name("elsewhere") / "proj"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", project], check=True)
    packages = next(project.glob("lib/python*/site-packages"))
    module = next(hidden.glob("lib/python*/site-packages/six.py"))
    (packages / "six.py").symlink_to(os.path.realpath(module))
    assert "cacheadmin.trial" in os.readlink(packages / "six.py")
    for _ in range(3):
        prune(cacheadmin, policy)
        assert dangling_links(project) == dangling_links(hidden) == {}
    assert all(is_whole(shared.path, entry) for entry in used)


def test_who_comes_once_a_month_by_such_a_path_keeps_what_it_leads_to(
    cacheadmin: Cacheadmin, shared: SharedCache, hidden: Path
) -> None:
    policy = cacheadmin.policy(shared.path, looking_elsewhere(shared), complete=False)
    entry = next(one for one in archives_of(hidden) if (shared.path / one / "six.py").exists())
    assert entry in prune(cacheadmin, policy)["trial"]["planted"]
    # What a build wrote down while it was on trial; its environment is gone since.
    module = Path(os.path.realpath(next(hidden.glob("lib/python*/site-packages/six.py"))))
    assert "cacheadmin.trial" in str(module)
    shutil.rmtree(hidden)
    assert entry in prune(cacheadmin, policy)["trial"]["put_back"]
    for _ in range(4):
        let_days_pass(shared.path, 31, "ran")
        prune(cacheadmin, policy)
        assert "six" in module.read_text()
        prune(cacheadmin, policy)
    # Without a use it goes on trial again, and then goes.
    for _ in range(4):
        let_days_pass(shared.path, 31, "ran")
        prune(cacheadmin, policy)
    assert not os.path.lexists(shared.path / entry)
