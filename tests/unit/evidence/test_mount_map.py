"""A path of another host is translated where both have the same folder mounted, no further."""

from __future__ import annotations

from cacheadmin.evidence.mount_map import MountMap
from cacheadmin.evidence.observations import Observation, Reach, SharedMount


def told(path: str, mount_point: str, *others: SharedMount) -> Observation:
    reach = Reach(path, "nfs4", "srv:/data", mount_point, (), False)
    mine = SharedMount(mount_point, "nfs4", "srv:/data", "", 0)
    return Observation("b", "boot", 0, 0, "1", reach, (), (), (), 0, (), (mine, *others))


def known(one: Observation, cache: str, *here: SharedMount) -> MountMap:
    return MountMap([one], cache, here)


def mount(place: str, filesystem: str = "", root: int = 0) -> SharedMount:
    return SharedMount(place, "nfs4", "srv:/x", filesystem, root)


def test_folders_beside_the_cache_are_known_by_the_cache_itself() -> None:
    found = known(told("/mnt/b/site/cache", "/mnt/b"), "/shared/site/cache", mount("/shared"))
    assert found.local("/mnt/b/homes/bob/env") == ("/shared/homes/bob/env",)
    assert found.local("/mnt/b") == ("/shared",)
    assert found.local("/mnt/bb/env") == ()
    assert found.local("/home/bob/env") == ()


def test_no_further_up_than_both_have_mounted() -> None:
    # The server sees more of that filesystem, and the other host less.
    server = known(told("/srv/data/site/cache", "/srv"), "/shared/site/cache", mount("/shared"))
    assert server.local("/srv/data/env") == ("/shared/env",)
    assert server.local("/srv/other/env") == ()
    deep = known(told("/cache", "/cache"), "/shared/site/cache", mount("/shared"))
    assert deep.local("/cache/env") == ("/shared/site/cache/env",)
    assert deep.local("/env") == ()


def test_a_mount_below_is_another_filesystem() -> None:
    one = told("/mnt/cache", "/mnt", mount("/mnt/homes", "nfs:1:1", 5))
    assert known(one, "/shared/cache", mount("/shared")).local("/mnt/homes/env") == ()
    here = (mount("/shared"), mount("/home", "nfs:1:1", 5))
    assert known(one, "/shared/cache", *here).local("/mnt/homes/env") == ("/home/env",)


def test_other_filesystems_are_known_by_their_number_and_their_root() -> None:
    for number, root in (("nfs:1:2", 5), ("nfs:1:1", 6), ("", 0)):
        one = told("/mnt/cache", "/mnt", mount("/homes", "nfs:1:1", 5))
        here = (mount("/shared"), mount("/home", number, root))
        assert known(one, "/shared/cache", *here).local("/homes/env") == ()


def test_what_is_called_the_same_on_both_needs_no_other_name() -> None:
    found = known(told("/shared/cache", "/shared"), "/shared/cache", mount("/shared"))
    assert found.is_empty
    assert found.local("/shared/env") == ()


def test_of_two_hosts_each_has_its_own_names() -> None:
    one, two = told("/b/cache", "/b"), told("/c/cache", "/c")
    found = MountMap([one, two], "/a/cache", [mount("/a")])
    assert found.local("/b/env") == found.local("/c/env") == ("/a/env",)
