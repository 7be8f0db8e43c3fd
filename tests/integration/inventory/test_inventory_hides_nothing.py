"""What users put into a cache, by accident or to harm, hides nothing from the inventory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgpack
import pytest

from cacheadmin.errors import NotACache, NotPermitted
from cacheadmin.inventory.entries import Inventory
from cacheadmin.inventory.reader import interpreter_prefixes, open_cache, read_inventory
from tests.support.users import User

ARCHIVE = "BBBBBBBBBBBBBBBB"
REVISION = "AAAAAAAAAAAAAAAA"


@pytest.fixture
def cache(open_folder: Path) -> Path:
    """An empty cache, as uv leaves one."""
    folder = open_folder / "cache"
    (folder / "archive-v0").mkdir(parents=True)
    (folder / "CACHEDIR.TAG").touch()
    (folder / ".gitignore").write_text("*")
    return folder


def inventory_of(cache: Path) -> Inventory:
    with open_cache(str(cache)) as opened:
        return read_inventory(opened)


def add_revision(cache: Path) -> Path:
    """Add one built source that leads to an archive; return the folder of its version."""
    version = cache / "sdists-v9" / "pypi" / "thing" / "1.0"
    (version / REVISION).mkdir(parents=True)
    (version / "revision.http").write_bytes(msgpack.packb([REVISION, []]))
    link = version / REVISION / "thing-1.0-py3-none-any"
    link.symlink_to(f"../../../../../archive-v0/{ARCHIVE}")
    return version


def as_user(user: User, ask: Callable[[], bool]) -> bool:
    """Ask something in a child process that is another user."""
    child = os.fork()
    if child == 0:
        answer = False
        try:
            os.setgroups(user.groups)
            os.setgid(user.gid)
            os.setuid(user.uid)
            answer = ask()
        finally:
            os._exit(0 if answer else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_revision_pointer_that_is_a_link_hides_no_revision(cache: Path, tmp_path: Path) -> None:
    version = add_revision(cache)
    (version / "revision.http").rename(tmp_path / "elsewhere")
    (version / "revision.http").symlink_to(tmp_path / "elsewhere")
    (revision,) = inventory_of(cache).revisions
    assert (revision.path, revision.current) == (
        f"sdists-v9/pypi/thing/1.0/{REVISION}",
        None,
    )
    assert revision.archives == {ARCHIVE}


@pytest.mark.parametrize("place", ["pypi", "pypi/thing"])
def test_metadata_in_the_wrong_place_hides_no_revision(cache: Path, place: str) -> None:
    add_revision(cache)
    (cache / "sdists-v9" / place / "metadata.msgpack").touch()
    (cache / "sdists-v9" / place / "link").symlink_to("/nowhere")
    archives = [revision.archives for revision in inventory_of(cache).revisions]
    assert {ARCHIVE} in archives


def test_unpacked_sources_are_not_searched_for_pointers(cache: Path) -> None:
    version = add_revision(cache)
    deep = version / REVISION / "src" / "a/b/c/d/e/f/g/h"
    deep.mkdir(parents=True)
    (deep / "link").symlink_to("elsewhere")
    inventory = inventory_of(cache)
    assert len(inventory.revisions) == 1
    assert inventory.unreadable == ()
    assert not any("src" in folder for folder in inventory.watched)


def test_a_link_among_the_archives_is_not_rubbish(cache: Path, tmp_path: Path) -> None:
    (cache / "archive-v0" / ARCHIVE).symlink_to(tmp_path)
    (cache / "archive-v0" / "file").touch()
    (cache / "archive-v0" / "empty").mkdir()
    removable = {stray.path: stray.removable for stray in inventory_of(cache).strays}
    assert removable == {
        f"archive-v0/{ARCHIVE}": False,
        "archive-v0/file": True,
        "archive-v0/empty": True,
    }


def test_what_is_no_cached_environment_is_named(cache: Path, tmp_path: Path) -> None:
    bucket = cache / "environments-v2"
    (bucket / "0123456789abcdef" / "folder").mkdir(parents=True)
    (bucket / "0123456789abcdef" / "outside").symlink_to(tmp_path)
    (bucket / "0123456789abcdef" / "dangling").symlink_to(f"../../archive-v0/{ARCHIVE}")
    inventory = inventory_of(cache)
    assert {stray.path.rpartition("/")[2]: stray.removable for stray in inventory.strays} == {
        "folder": False,
        "outside": False,
    }
    assert [entry.archive for entry in inventory.environments] == [ARCHIVE]


def test_a_flood_of_files_hides_no_user_who_wrote(cache: Path) -> None:
    folder = cache / "simple-v16" / "pypi"
    folder.mkdir(parents=True)
    with opened(folder) as fd:
        for number in range(60_000):
            os.mknod(f"{number}.rkyv", 0o600, dir_fd=fd)
        os.mknod("theirs.rkyv", 0o600, dir_fd=fd)
    if os.geteuid() == 0:
        os.chown(folder / "theirs.rkyv", 61001, -1)
    os.utime(folder / "theirs.rkyv", ns=(10**18, 10**18))
    (bucket,) = (b for b in inventory_of(cache).buckets if b.name == "simple-v16")
    writers = {write.uid for write in bucket.writes}
    assert writers == ({0, 61001} if os.geteuid() == 0 else {os.geteuid()})


@pytest.mark.root
def test_what_a_user_may_list_but_not_look_at_is_unreadable(
    cache: Path, three_users: list[User]
) -> None:
    package = cache / "wheels-v5" / "pypi" / "six"
    package.mkdir(parents=True)
    (package / "1.0-py3-none-any").symlink_to(f"../../../archive-v0/{ARCHIVE}")
    package.chmod(0o744)

    def names_it() -> bool:
        (problem,) = inventory_of(cache).unreadable
        return problem.path == "wheels-v5/pypi/six/1.0-py3-none-any"

    assert as_user(three_users[0], names_it)


@pytest.mark.root
def test_interpreters_a_user_may_not_see_are_told_from_damaged_ones(
    cache: Path, three_users: list[User]
) -> None:
    (cache / "interpreter-v4" / "closed").mkdir(parents=True)
    (cache / "interpreter-v4" / "closed").chmod(0o700)
    (cache / "interpreter-v4" / "open").mkdir()
    (cache / "interpreter-v4" / "open" / "private.msgpack").touch(0o600)
    (cache / "interpreter-v4" / "open" / "damaged.msgpack").touch()

    def tells_them() -> bool:
        with open_cache(str(cache)) as opened:
            entries = interpreter_prefixes(opened)
        unseen = {problem.path for problem in entries.unseen}
        damaged = [problem.path for problem in entries.damaged]
        return (unseen, damaged) == (
            {"interpreter-v4/closed", "interpreter-v4/open/private.msgpack"},
            ["interpreter-v4/open/damaged.msgpack"],
        )

    assert as_user(three_users[0], tells_them)


@pytest.mark.root
def test_a_root_that_may_be_listed_but_not_searched_is_refused(
    cache: Path, three_users: list[User]
) -> None:
    cache.chmod(0o744)

    def refuses() -> bool:
        try:
            inventory_of(cache)
        except NotPermitted:
            return True
        return False

    assert as_user(three_users[0], refuses)


def test_no_spelling_leads_through_a_link(cache: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(cache)
    for spelling in (f"{link}", f"{link}/", f"{link}/.", f"{link}//", f"{tmp_path}/./link"):
        with pytest.raises(NotACache, match="it is a link"), open_cache(spelling):
            pass
    for spelling in (f"{cache}/", f"{cache}/.", f"{cache}/../{cache.name}"):
        with open_cache(spelling) as opened:
            assert opened.identity.path == str(cache)


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    fd = os.open(folder, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)
