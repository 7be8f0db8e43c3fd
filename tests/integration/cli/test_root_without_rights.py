"""Root that has no rights in a cache, as on NFS with root_squash, is not told to be root."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.users import User

pytestmark = pytest.mark.root

_LACKS = "-dac_override,-dac_read_search,-fowner"


@pytest.mark.parametrize(("mode", "what"), [(0o755, "written by you"), (0o700, "read by root")])
def test_it_is_told_whose_the_cache_is_and_where_root_has_rights(
    cacheadmin: Cacheadmin, open_folder: Path, three_users: list[User], mode: int, what: str
) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    owner = three_users[0]
    cache = open_folder / "cache"
    (cache / "archive-v0" / "abcdefghijklmnopqrstu" / "x").mkdir(parents=True)
    (cache / "CACHEDIR.TAG").touch()
    (cache / ".gitignore").touch()
    for path in (cache, *cache.rglob("*")):
        os.chown(path, owner.uid, owner.gid)
    cache.chmod(mode)
    words = cacheadmin.command("prune", cacheadmin.policy(cache))
    done = subprocess.run(
        ["setpriv", f"--bounding-set={_LACKS}", f"--inh-caps={_LACKS}", *words],
        env=cacheadmin.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 77, done
    assert f"can't be {what}" in done.stderr
    assert f"name its owner, uid {owner.uid}, in run_as of the policy" in done.stderr
    assert "or call it on the NFS server, as root" in done.stderr
    assert "run it as root, or" not in done.stderr
