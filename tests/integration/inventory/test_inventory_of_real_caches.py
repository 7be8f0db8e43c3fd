"""What real releases put into a cache is read as what it is, and hostile things are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cacheadmin.errors import NotACache, NotPermitted
from cacheadmin.inventory.entries import ArchiveContent
from cacheadmin.inventory.reader import interpreter_prefixes, open_cache, read_inventory
from cacheadmin.uv.releases import buckets_of
from tests.support.shared_cache import SharedCache, age
from tests.support.uv_releases import NEWEST

RELEASES = ["0.2.37", "0.4.30", "0.5.10", "0.6.4", "0.8.5", "0.9.0", "0.12.24", NEWEST]


@pytest.mark.parametrize("release", RELEASES)
def test_what_a_release_writes_is_understood(shared: SharedCache, release: str) -> None:
    environment = shared.environment("proj", release, "six==1.16.0", "idna==3.7")
    shared.uv(release, "tool", "run", "cowsay", "-t", "hello")
    with open_cache(str(shared.path)) as cache:
        inventory = read_inventory(cache)
        named = interpreter_prefixes(cache)
    assert {bucket.name for bucket in inventory.buckets} <= buckets_of(release)
    assert all(bucket.known for bucket in inventory.buckets)
    assert {p.package for p in inventory.wheel_pointers} == {"six", "idna", "cowsay"}
    for pointer in inventory.wheel_pointers:
        assert pointer.understood
        (archive,) = pointer.archives
        assert pointer.linked_archive == archive
        assert inventory.archives[archive].package == pointer.package
        assert inventory.archives[archive].version == pointer.version
    (cached,) = inventory.environments
    assert inventory.archives[cached.archive].content is ArchiveContent.ENVIRONMENT
    assert str(environment) in {prefix for prefix, _, _ in named.prefixes}
    assert named.damaged == ()
    assert inventory.unreadable == inventory.strays == ()
    writers = {w.uid for b in inventory.buckets if b.kind == "wheels" for w in b.writes}
    assert writers == {shared.users[0].uid}


@pytest.mark.parametrize("release", ["0.5.10", "0.8.5", NEWEST])
def test_a_rebuilt_source_has_one_superseded_revision(
    shared: SharedCache, release: str, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    (project / "thing").mkdir(parents=True)
    (project / "thing" / "__init__.py").write_text("")
    build = (
        '[build-system]\nrequires = ["flit_core==3.12.0"]\nbuild-backend = "flit_core.buildapi"\n'
    )
    for version in ("1.0", "2.0"):
        text = f'[project]\nname = "thing"\nversion = "{version}"\ndescription = "x"\n'
        (project / "pyproject.toml").write_text(build + text)
        age(project, days=3 if version == "1.0" else 1)
        shared.environment(f"env{version}", release, str(project))
    with open_cache(str(shared.path)) as cache:
        inventory = read_inventory(cache)
    states = sorted(str(revision.current) for revision in inventory.revisions)
    assert states == ["False", "True"]
    for revision in inventory.revisions:
        assert revision.package == "thing"
        assert {inventory.archives[one].version for one in revision.archives} == {revision.version}


def test_hostile_entries_are_named_and_never_followed(shared: SharedCache, tmp_path: Path) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    cache = shared.path
    outside = tmp_path / "outside"
    (outside / "pypi" / "six").mkdir(parents=True)
    pypi = next(cache.glob("wheels-v*")) / "pypi"
    if not pypi.exists():
        pypi = next(next(cache.glob("wheels-v*")).glob("index/*"))
    evil = pypi / "evil"
    evil.mkdir()
    os.mkfifo(evil / "1.0-py3-none-any.http")
    with (evil / "2.0-py3-none-any.http").open("wb") as file:
        file.truncate(2**30)
    (evil / "3.0-py3-none-any.rev").write_bytes(b"\xc1garbage")
    (cache / "wheels-v98").symlink_to(outside)
    (cache / "wheels-v99").mkdir()
    (cache / "gadgets-v0").mkdir()
    (cache / "na\nme").write_text("")
    (cache / "archive-v0" / ".tmpabc").mkdir()
    (cache / ".tmpxyz").mkdir()
    with open_cache(str(cache)) as opened:
        inventory = read_inventory(opened)
    unclear = {p.path.rpartition("/")[2] for p in inventory.wheel_pointers if not p.understood}
    assert unclear == {"1.0-py3-none-any", "2.0-py3-none-any", "3.0-py3-none-any"}
    known = {bucket.name: bucket.known for bucket in inventory.buckets}
    assert (known["wheels-v99"], known["gadgets-v0"]) == (False, False)
    assert "wheels-v98" not in known
    removable = {stray.path: stray.removable for stray in inventory.strays}
    assert removable == {"wheels-v98": False, "na\nme": False, "archive-v0/.tmpabc": True}
    assert [build.path for build in inventory.builds] == [".tmpxyz"]


def test_a_damaged_interpreter_entry_is_skipped_and_counted(
    shared: SharedCache, cacheadmin
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    folder = next(next(shared.path.glob("interpreter-v*")).iterdir())
    (folder / "0123456789abcdef.msgpack").write_bytes(b"\x92\x01")
    os.mkfifo(folder / "fedcba9876543210.msgpack")
    policy = cacheadmin.policy(shared.path, complete=False)
    answer = cacheadmin("preflight", policy, "--format", "json").json
    said = " ".join(check["detail"] for check in answer["checks"])
    assert "2 interpreter records could not be understood" in said


def test_what_is_no_cache_is_refused_in_words(shared: SharedCache, tmp_path: Path) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    link = tmp_path / "link"
    link.symlink_to(shared.path)
    plain = tmp_path / "plain"
    (plain / "Documents").mkdir(parents=True)
    file = tmp_path / "file"
    file.write_text("")
    for path, words in (
        ("/", "root folder"),
        (os.path.expanduser("~"), "home folder"),
        (link, "it is a link to"),
        (plain, "it holds Documents"),
        (file, "Not a directory"),
        (tmp_path / "none", "no such folder"),
    ):
        with pytest.raises((NotACache, NotPermitted)) as caught, open_cache(str(path)):
            pass
        said = " ".join((caught.value.message, *caught.value.details))
        assert words in said


def test_an_empty_cache_that_uv_just_cleaned_is_a_cache(shared: SharedCache) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    shared.uv(NEWEST, "cache", "clean")
    shared.uv(NEWEST, "venv", shared.home() / "another")
    with open_cache(str(shared.path)) as cache:
        assert not read_inventory(cache).archives
