"""Names and shapes that real releases write, and what they say."""

from __future__ import annotations

import msgpack
import pytest

from cacheadmin.fs.mounts import Mount, mount_of, parse_mount
from cacheadmin.uv.environment_config import parse_environment_config
from cacheadmin.uv.interpreters import environment_prefix
from cacheadmin.uv.layout import (
    parse_bucket_name,
    pointer_key,
    version_of_key,
    wheel_stem,
)
from cacheadmin.uv.pointers import archive_named_by, revision_named_by
from cacheadmin.uv.releases import (
    buckets_of,
    is_known_bucket,
    known_kinds,
    newest_known,
    parse_release,
    release_range,
    takes_cache_lock,
    writers_take_lock,
)
from tests.support.uv_releases import newest_bucket

LONG = "XRUfBb18WgPugVt_XIIPc"
SHORT = "--V5mVoIqxbldp9x"
CONTENT_MADE = "0lmitdmr0zwwvvqq53uvk3jb"
POLICY = b"\x01opaque policy\x02"


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("wheels-v5", ("wheels", 5)),
        ("built-wheels-v3", ("built-wheels", 3)),
        ("flat-index-v0", ("flat-index", 0)),
        ("archive-v10", ("archive", 10)),
        ("wheels-v05", None),
        ("wheels-v", None),
        ("wheels", None),
        ("Wheels-v5", None),
        ("wheels-v5\n", None),
        ("wheels-v٥", None),
        ("wheels-v5.bak", None),
        (".tmpAbc", None),
    ],
)
def test_bucket_names(name: str, parsed: tuple[str, int] | None) -> None:
    assert parse_bucket_name(name) == parsed


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("1.17.0-py2.py3-none-any.http", ("1.17.0-py2.py3-none-any", "http")),
        ("1.17.0-py2.py3-none-any.rev", ("1.17.0-py2.py3-none-any", "rev")),
        ("2.3.5-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64", None),
        ("1.17.0-py2.py3-none-any.msgpack", "nothing"),
        ("1.17.0-py2.py3-none-any.lock", "nothing"),
    ],
)
def test_only_known_endings_are_cut_off(name: str, parsed: object) -> None:
    expected = {None: (name, "link"), "nothing": None}.get(parsed, parsed)  # type: ignore[call-overload]
    assert pointer_key(name) == expected


@pytest.mark.parametrize(
    ("key", "package", "version"),
    [
        ("six-1.17.0-py2.py3-none-any", "six", "1.17.0"),
        ("1.17.0-py2.py3-none-any", "six", "1.17.0"),
        ("flit_core-3.12.0-py3-none-any", "flit-core", "3.12.0"),
        ("2.3.5-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64", "numpy", "2.3.5"),
        ("2.3.5-0123456789abcdef", "numpy", "2.3.5"),
        ("1.0-1-py3-none-any", "thing", "1.0"),
        ("thing-1.0-1-py3-none-any", "thing", "1.0"),
        ("2.0+cu121.local-cp311-cp311-linux_x86_64", "torch", "2.0+cu121.local"),
        ("strange", "six", None),
    ],
)
def test_the_version_in_a_wheel_key(key: str, package: str, version: str | None) -> None:
    assert version_of_key(key, package) == version


def test_what_is_a_wheel_stem() -> None:
    assert wheel_stem("docopt-0.6.2-py2.py3-none-any") == ("docopt", "0.6.2")
    assert wheel_stem("thing-1.0-1-py3-none-any") == ("thing", "1.0")
    assert wheel_stem("src") is None
    assert wheel_stem("a-b-c-d-e") is None


@pytest.mark.parametrize(
    ("shape", "identifier"),
    [
        (f"/srv/uv/archive-v0/{LONG}", LONG),
        ([LONG, []], LONG),
        ([LONG, [{"Sha256": "00"}]], LONG),
        ([LONG, [], "six-1.17.0-py2.py3-none-any.whl", 0], LONG),
        ({"id": SHORT, "hashes": [], "filename": "x", "version": 0, "size": 11050}, SHORT),
        ([SHORT, [["Sha256", "00"]], "x.whl", 0, None], SHORT),
        ([SHORT, [], "x.whl", 0, 11050, "a field of a release to come"], SHORT),
        ({"id": CONTENT_MADE, "hashes": [], "filename": "x", "version": 0}, CONTENT_MADE),
        ([CONTENT_MADE, [], "x.whl", 0, 11050], CONTENT_MADE),
        (None, None),
        (17, None),
        ([], None),
        ([17, []], None),
        ({}, None),
        ({"id": 17}, None),
        ("", None),
        (["../../etc", []], None),
        (["wheel", LONG], None),
        ([f"{SHORT}\n", []], None),
        (["..", []], None),
        (["a" * 25, []], None),
    ],
)
def test_every_shape_of_a_wheel_pointer(shape: object, identifier: str | None) -> None:
    http = msgpack.packb(shape)
    trailers = (POLICY + len(POLICY).to_bytes(8, "little"), len(http).to_bytes(8, "little"), b"")
    for trailer in trailers:
        assert archive_named_by(http + trailer, "http") == identifier
    for information in ([1, 2], [[1, 2], None, None], [[1, 2], None, None, {}, {"src": 1}]):
        assert archive_named_by(msgpack.packb([information, shape]), "rev") == identifier


def test_a_revision_is_a_plain_name() -> None:
    assert revision_named_by(msgpack.packb([SHORT, [], 5]), "http") == SHORT
    assert revision_named_by(msgpack.packb({"id": SHORT, "hashes": [], "size": 5}), "http") == SHORT
    assert revision_named_by(msgpack.packb([[1, 2], [SHORT, []]]), "rev") == SHORT
    for hostile in ("../x", "/x", "..", ".", "", "a/b"):
        assert revision_named_by(msgpack.packb([hostile, []]), "http") is None


def scheme(prefix: str) -> list[str]:
    site = f"{prefix}/lib/python3.11/site-packages"
    return [site, site, f"{prefix}/bin", prefix, f"{prefix}/include/site/python3.11"]


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_the_environment_of_a_flat_interpreter_entry(version: int) -> None:
    relative = ["lib/python3.11/site-packages", "lib/python3.11/site-packages", "bin", "", "x"]
    fields = [{"os": "linux"}, {"python_version": "3.11"}, scheme("/home/ana/.venv"), relative]
    entry = msgpack.packb([[1, 2], [*fields, None, "/home/ana/.venv", "/usr", ["/a", "/b"]]])
    assert environment_prefix(entry, version) == "/home/ana/.venv"


def test_the_environment_of_a_nested_interpreter_entry() -> None:
    info = [[{"os": "linux"}, ["avx2"]], [{"python_version": "3.11"}, scheme("/srv/e")]]
    assert environment_prefix(msgpack.packb([[1, 2], info]), 5) == "/srv/e"


def test_the_environment_of_the_oldest_interpreter_entry() -> None:
    info = [[], "/usr", "/usr", "/usr/lib/python3.11", "/home/ana/.venv/bin/python"]
    assert environment_prefix(msgpack.packb([[1, 2], info]), 0) == "/home/ana/.venv"


@pytest.mark.parametrize(
    "info",
    [
        None,
        [],
        ["/a", "/b", "/c", "/d", "/e"],
        [*scheme("/x")[:3], "relative", "/include"],
        [f"{path}\0" for path in scheme("/x")],
        scheme("/" + "x" * 5000),
        scheme(""),
    ],
)
def test_what_names_no_environment(info: object) -> None:
    assert environment_prefix(msgpack.packb([[1, 2], [{}, info]]), 4) is None


def test_a_prefix_that_is_not_utf8_survives() -> None:
    prefix = b"/home/\xff"
    paths = [prefix + tail for tail in (b"/lib", b"/lib", b"/bin", b"", b"/include")]
    raw = b"".join(msgpack.packb(path, use_bin_type=False) for path in paths)
    entry = b"\x92\x92\x01\x02\x91\x95" + raw
    assert environment_prefix(entry, 4) == "/home/\udcff"


def test_a_configuration_as_uv_writes_it() -> None:
    content = (
        b"home = /usr/bin\nimplementation = CPython\nuv = 0.8.5\nversion_info = 3.11.2\n"
        b"include-system-site-packages = false\nrelocatable = true\n"
        b"extends-environment = /srv/uv/archive-v0/x\n"
    )
    config = parse_environment_config(content)
    assert config.uv_version == "0.8.5"
    assert config.extends_environment == "/srv/uv/archive-v0/x"


@pytest.mark.parametrize(
    ("content", "version"),
    [
        (b"uv=0.5.10", "0.5.10"),
        (b"\xff\xfe\nUV =  0.8.5 \r\n", "0.8.5"),
        (b"gourgeist = 0.0.4\n", None),
        (b"uv = \x1b[2J", None),
        (b"uv = ../../x", None),
        (b"uv =\n", None),
        (b"", None),
    ],
)
def test_the_release_in_a_configuration(content: bytes, version: str | None) -> None:
    assert parse_environment_config(content).uv_version == version


def test_releases_are_numbers() -> None:
    assert parse_release("0.8.5") == (0, 8, 5)
    for other in ("0.8", "0.8.5rc1", "v0.8.5", "0.8.5\n", "", "0.8.٥", "0.8.99999"):
        assert parse_release(other) is None


@pytest.mark.parametrize(
    ("release", "some", "others"),
    [
        ("0.1.5", {"wheels-v0", "built-wheels-v0", "simple-v1"}, {"sdists-v4"}),
        ("0.2.37", {"wheels-v1", "built-wheels-v3", "interpreter-v2"}, {"sdists-v4"}),
        ("0.4.13", {"wheels-v2", "sdists-v4"}, {"built-wheels-v3"}),
        ("0.6.3", {"wheels-v4", "sdists-v8", "environments-v2"}, {"wheels-v5"}),
        ("0.6.4", {"wheels-v5"}, {"wheels-v4"}),
        ("0.9.99", {"wheels-v5", "simple-v19"}, {"wheels-v6"}),
        ("0.12.24", {"wheels-v6", "sdists-v9", "simple-v25", "git-v1"}, {"wheels-v7"}),
        ("0.13.8", {"wheels-v7", "sdists-v10", "interpreter-v5"}, {"interpreter-v4"}),
        ("0.12.7", {"wheels-v6"}, {"files-v0"}),
        ("0.12.8", {"wheels-v6", "files-v0"}, {"simple-v25"}),
        ("0.13.9", {"wheels-v8", "sdists-v11", "git-v2", "files-v0"}, {"wheels-v7"}),
    ],
)
def test_the_buckets_of_a_release(release: str, some: set[str], others: set[str]) -> None:
    buckets = buckets_of(release)
    assert buckets is not None
    assert some | {"archive-v0"} <= buckets
    assert not others & buckets


def test_nothing_is_claimed_beyond_the_table() -> None:
    first, second, third = parse_release(newest_known()) or (0, 0, 0)
    assert buckets_of(newest_known()) is not None
    assert buckets_of(f"{first}.{second}.{third + 1}") is None
    assert buckets_of("1.0.0") is None
    assert buckets_of("0.0.1") is None
    assert buckets_of("nightly") is None
    assert takes_cache_lock("nightly") is None
    assert not is_known_bucket("wheels-v99")
    assert not is_known_bucket("gadgets-v0")
    assert release_range("wheels-v99") is None


def test_the_lock_came_with_0_8_19() -> None:
    assert takes_cache_lock("0.8.18") is False
    assert takes_cache_lock("0.8.19") is True
    # What only releases with it, or without it, write to; and what some of both do.
    assert writers_take_lock(newest_bucket("wheels")) is True
    assert writers_take_lock("wheels-v1") is False
    assert writers_take_lock("archive-v0") is None
    assert writers_take_lock("zork-v9") is None
    assert takes_cache_lock("0.10.0") is True


def test_which_releases_use_a_bucket() -> None:
    wheels = release_range("wheels-v5")
    assert wheels is not None
    assert (wheels.first, wheels.last) == ("0.6.4", "before 0.10.0")
    archives = release_range("archive-v0")
    assert archives is not None
    assert archives.last is None
    assert {"wheels", "built-wheels", "osv", "python", "binaries"} <= known_kinds()


def test_a_line_of_the_mount_table() -> None:
    line = rb"36 35 98:0 /mnt1 /srv/with\040space rw,noatime master:1 - ext4 /dev/root rw,errors=x"
    mount = parse_mount(line + b"\n")
    assert mount.mount_point == "/srv/with space"
    assert (mount.kind, mount.source) == ("ext4", "/dev/root")
    assert mount.options == ("rw", "noatime", "errors=x")


def test_a_mount_from_nowhere() -> None:
    mount = parse_mount(b"42 27 0:39 / /x rw,relatime - tmpfs  rw,size=5\n")
    assert (mount.kind, mount.source) == ("tmpfs", "")
    assert "size=5" in mount.options


def test_the_innermost_and_latest_mount_counts() -> None:
    mounts = tuple(
        Mount(point, number, "ext4", f"/dev/{number}", ())
        for number, point in enumerate(("/", "/srv", "/srv/uv", "/srv/uv", "/srv/uv-other"))
    )
    assert mount_of("/srv/uv/archive-v0", mounts).device == 3
    assert mount_of("/srv/uv", mounts).device == 3
    assert mount_of("/srv/uv-else", mounts).device == 1
    assert mount_of("/home", mounts).device == 0


def test_an_interpreter_entry_of_a_hundred_thousand_lists_is_not_looked_through() -> None:
    scheme = [f"/srv/e/{name}" for name in ("lib", "lib", "bin")] + ["/srv/e", "/srv/e/include"]
    entry = [[1, 2], [[[[]] * 100], scheme]]
    assert environment_prefix(msgpack.packb(entry), 5) == "/srv/e"
    # What it may name after so many is as unknown as what is damaged.
    entry = [[1, 2], [[[[]] * 1000] * 2, scheme]]
    assert environment_prefix(msgpack.packb(entry), 5) is None
