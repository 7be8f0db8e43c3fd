"""What a path in a cache belongs to, for ``usage``."""

from __future__ import annotations

import pytest

from cacheadmin.inventory.entries import ArchiveContent, ArchiveId, SourceRevision
from cacheadmin.report.usage import group_name
from cacheadmin.usage.groups import (
    By,
    Classifier,
    Group,
    Grouping,
    Sort,
    packages_of_paths,
    thing_of_archive,
)
from tests.support.facts import archive, inventory, pointer

WHEELS = "wheels-v5/pypi/six"
SOURCE = "sdists-v9/pypi/docopt/0.6.2"


def classifier() -> Classifier:
    revision = SourceRevision(
        path=f"{SOURCE}/rev",
        bucket="sdists-v9",
        package="docopt",
        version="0.6.2",
        current=True,
        archives=frozenset({ArchiveId("d")}),
        uid=1,
        mtime_ns=1,
    )
    found = inventory(
        wheel_pointers=(pointer("wheels-v5", "a", name="six"),), revisions=(revision,)
    )
    return Classifier(packages_of_paths(found))


@pytest.mark.parametrize(
    ("path", "sort", "package", "version"),
    [
        ("notes.txt", Sort.OTHER, None, None),
        (".tmpabc/six/__init__.py", Sort.BUILD, None, None),
        ("simple-v16/pypi/six.rkyv", Sort.METADATA, None, None),
        ("archive-v0/file", Sort.OTHER, None, None),
        (f"files-v0/ab/ab{'0' * 62}", Sort.CONTENT, None, None),
        ("builds-v0/.tmpabc/x", Sort.BUILD, None, None),
        ("environments-v2/x/y", Sort.ENVIRONMENT, None, None),
        ("wheels-v5/pypi", Sort.METADATA, None, None),
        (WHEELS, Sort.PACKAGE, "six", None),
        (f"{WHEELS}/1.0-py3-none-any", Sort.PACKAGE, "six", "1.0"),
        (f"{WHEELS}/1.0-py3-none-any.http", Sort.PACKAGE, "six", "1.0"),
        (f"{WHEELS}/1.0-py3-none-any.msgpack", Sort.PACKAGE, "six", "1.0"),
        (f"{WHEELS}/2.0-py3-none-any.msgpack", Sort.PACKAGE, "six", None),
        (SOURCE, Sort.PACKAGE, "docopt", "0.6.2"),
        (f"{SOURCE}/revision.http", Sort.PACKAGE, "docopt", "0.6.2"),
        (f"{SOURCE}/rev/src/cacheadmin/x", Sort.PACKAGE, "docopt", "0.6.2"),
        ("sdists-v9/cacheadmin/root-0-py3-none-any", Sort.PROTECTION, None, None),
        ("git-v0/cacheadmin", Sort.PROTECTION, None, None),
        ("wheels-v5/cacheadmin", Sort.METADATA, None, None),
    ],
)
def test_a_path_belongs_to(path: str, sort: Sort, package: str | None, version: str | None) -> None:
    known = classifier()
    parts = path.split("/")
    for depth in range(1, len(parts)):
        known.thing_at("/".join(parts[:depth]), 5, is_folder=True)
    thing = known.thing_at(path, 5, is_folder=False)
    assert (thing.sort, thing.package, thing.version, thing.uid) == (sort, package, version, 5)


def test_a_bucket_of_nothing_but_roots_is_ours() -> None:
    thing = Classifier({}, ours=True).thing_at("sdists-v11", 0, is_folder=True)
    assert thing.sort is Sort.PROTECTION


def test_archives_go_to_package_environment_owner_and_team() -> None:
    teams = {("archive-v0", 7): "ml"}

    def group(by: By, one) -> Group:
        grouping = Grouping(by, lambda uid: f"user{uid}", lambda *key: teams.get(key))
        return grouping.group_of(thing_of_archive(one))

    wheel = archive("numpy", uid=7)
    environment = archive("e", content=ArchiveContent.ENVIRONMENT, uid=8)
    assert group(By.PACKAGE, wheel) == Group(Sort.PACKAGE, "numpy")
    assert group(By.VERSION, wheel) == Group(Sort.PACKAGE, "numpy", "1.0")
    assert group(By.BUCKET, wheel) == Group(Sort.BUCKET, "archive-v0")
    assert group(By.OWNER, wheel) == Group(Sort.OWNER, "user7")
    assert group(By.TEAM, wheel) == Group(Sort.TEAM, "ml")
    assert group(By.PACKAGE, environment) == Group(Sort.ENVIRONMENT)
    assert group(By.TEAM, environment) == Group(Sort.TEAM, None)


def test_every_sort_of_group_has_a_name_to_print() -> None:
    # A bucket and an owner are always called something.
    for sort in set(Sort) - {Sort.BUCKET, Sort.OWNER}:
        assert group_name(Group(sort)) not in ("", "-")
