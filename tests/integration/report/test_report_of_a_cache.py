"""``cacheadmin report``: a real cache at a glance, on a terminal and in a real browser."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.browsers import PAGE, picture_of, visit_page
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.overviews import HOSTILE
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache
from tests.support.users import User, open_temporary_folder
from tests.support.uv_releases import NEWEST

_DARK = "--blink-settings=preferredColorScheme=0"
_OWNED = "<img src=x onerror=document.title='owned'>"
_BLOB = 300_000


@dataclass
class Reported:
    """A cache with one environment of uv's making, one hand-made, and hostile names."""

    cacheadmin: Cacheadmin
    policy: Path
    cache: Path
    hostile: Path

    def json(self, *arguments: str) -> Any:
        return self.cacheadmin("report", self.policy, "--format", "json", *arguments, code=0).json


@pytest.fixture(scope="module")
def reported(index: Index) -> Iterator[Reported]:
    folder = open_temporary_folder("cacheadmin-report-")
    shared = SharedCache.create(folder, index)
    shared.environment("proj", NEWEST, "six==1.16.0")
    hostile = _hostile_environment(shared)
    (folder / "cacheadmin").mkdir()
    cacheadmin = Cacheadmin(folder / "cacheadmin")
    text = f"venvs: {{include: ['{shared.homes}/*/*']}}\nprune: {{budget: {{max_size: 1GiB}}}}\n"
    policy = cacheadmin.policy(shared.path, text)
    yield Reported(cacheadmin, policy, shared.path, hostile)
    shutil.rmtree(folder, ignore_errors=True)


def _hostile_environment(shared: SharedCache) -> Path:
    """Link an environment of a hostile name to archives of hostile names; none has a pointer."""
    environment = shared.home() / _OWNED
    site = environment / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (environment / "pyvenv.cfg").write_text(f"home = /usr/bin\nuv = {NEWEST}\n")
    possible = [name.replace("/", "") for name in HOSTILE if name != "\ud800" and len(name) < 200]
    for number, name in enumerate([*possible, _OWNED]):
        info = f"{name}-1.0.dist-info"
        archive = shared.path / "archive-v0" / f"handmade{number:013}"
        (archive / info).mkdir(parents=True)
        (archive / info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name!r}\n")
        (archive / info / "RECORD").write_text("")
        (archive / "blob").write_bytes(b"x" * _BLOB)
        (site / info).mkdir()
        (site / info / "METADATA").symlink_to(archive / info / "METADATA")
    return environment


def test_the_report_agrees_with_usage_and_plan(reported: Reported) -> None:
    document = reported.json()
    assert document["schema"] == "cacheadmin/report/1"
    cacheadmin, policy = reported.cacheadmin, reported.policy
    for by, key in (("bucket", "buckets"), ("package", "packages"), ("team", "teams")):
        usage = cacheadmin("usage", policy, "--by", by, "--format", "json", code=0).json
        assert usage["total"] == document["total"]
        sizes = {(row["kind"], row["name"]): row["bytes"] for row in usage["groups"]}
        assert {(row["kind"], row["name"]): row["bytes"] for row in document[key]} == sizes
    plan = cacheadmin("plan", policy, "--format", "json").json
    assert document["verdict"] == plan["verdict"]
    assert document["removals"]["entries"] == plan["totals"]["removals"]
    assert document["removals"]["reclaimable_bytes"] == plan["totals"]["reclaimable_bytes"]
    audit = cacheadmin("audit", policy, "--format", "json").json
    assert document["findings"] == audit["findings"]


def test_it_leaves_with_0_whatever_it_shows(reported: Reported) -> None:
    document = reported.json()
    assert document["verdict"] != "safe"
    reported.cache.chmod(0o777)
    try:
        assert "error" in {one["severity"] for one in reported.json()["findings"]}
        reported.cacheadmin("audit", reported.policy, code=8)
        reported.cacheadmin("report", reported.policy, code=0)
    finally:
        reported.cache.chmod(0o755)


@pytest.mark.root
def test_what_an_environment_would_free_is_what_the_next_plan_frees(reported: Reported) -> None:
    rows = {row["path"]: row for row in reported.json()["environments"]}
    mine = rows[os.fspath(reported.hostile)]
    assert mine["archives"] > 10
    assert mine["freed_bytes"] == mine["alone_bytes"] >= mine["archives"] * _BLOB
    # uv's own pointer keeps what it installed.
    (other,) = [row for row in rows.values() if row["path"].endswith("/proj")]
    assert other["alone_bytes"] > 0
    assert other["freed_bytes"] == 0
    elsewhere = reported.hostile.parents[2] / "elsewhere"
    before = reported.json()["removals"]["reclaimable_bytes"]
    reported.hostile.rename(elsewhere)
    try:
        after = reported.json()["removals"]["reclaimable_bytes"]
    finally:
        elsewhere.rename(reported.hostile)
    assert after - before == mine["freed_bytes"]


def test_sizes_are_remembered_once_an_hour_by_what_measures(
    reported: Reported, cacheadmin: Cacheadmin
) -> None:
    policy = cacheadmin.policy(reported.cache)
    state = cacheadmin.folder / "state" / "test.sqlite"
    cacheadmin("preflight", policy)
    assert not state.exists() or _rows_in(state, "size_history") == 0
    cacheadmin("usage", policy, code=0)
    first = cacheadmin("report", policy, "--format", "json", code=0).json
    # What usage remembered, and the present.
    assert len(first["history"]) == 2
    assert first["history"][0]["bytes"] == first["total"]["bytes"]
    assert first["history"][0]["buckets"].keys() >= {"archive-v0"}
    again = cacheadmin("report", policy, "--format", "json", code=0).json
    assert [one["time"] for one in again["history"][:-1]] == [first["history"][0]["time"]]


def _rows_in(state: Path, table: str) -> int:
    with closing(sqlite3.connect(state)) as connection:
        (found,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(found)


def test_the_terminal_gets_what_its_locale_can_show(reported: Reported) -> None:
    cacheadmin, policy = reported.cacheadmin, reported.policy
    shown = cacheadmin("report", policy, code=0, environment={"COLUMNS": "90"}).stdout
    assert "█" in shown
    assert "\x1b" not in shown
    plain = cacheadmin("report", policy, code=0, environment={"LC_ALL": "C", "COLUMNS": "90"})
    assert plain.stdout.isascii()
    assert max(map(len, plain.stdout.splitlines())) <= 90
    coloured = cacheadmin("--color", "always", "report", policy, code=0).stdout
    assert "\x1b[" in coloured


def test_the_page_replaces_a_plain_file_and_nothing_else(
    reported: Reported, tmp_path: Path
) -> None:
    cacheadmin, policy = reported.cacheadmin, reported.policy
    target = tmp_path / "page.html"
    result = cacheadmin("report", policy, "--html", target, code=0)
    assert (result.stdout, result.stderr) == ("", "")
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    content = target.read_text("utf-8")
    assert content.startswith("<!doctype html>")
    assert cacheadmin("report", policy, "--html", "-", code=0).stdout.startswith("<!doctype html>")
    link = tmp_path / "link.html"
    link.symlink_to(target)
    refused = cacheadmin("report", policy, "--html", link, code=1)
    assert "only a plain file is replaced" in refused.stderr
    cacheadmin("report", policy, "--html", target, "--format", "json", code=2)
    assert target.read_text("utf-8") == content
    assert sorted(os.listdir(tmp_path)) == ["link.html", "page.html"]


def test_several_caches_share_a_page(
    reported: Reported, shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    (shared.path / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    (shared.path / "archive-v0").mkdir()
    other = cacheadmin.policy(shared.path, name="empty")
    result = cacheadmin("report", reported.policy, other, "--html", "-", code=0)
    assert result.stdout.count("<article") == 2
    document = cacheadmin("report", reported.policy, other, "--format", "json", code=0).json
    assert [one["policy"]["name"] for one in document["caches"]] == ["test", "empty"]


@pytest.mark.root
def test_a_state_that_can_not_be_written_is_a_warning(
    reported: Reported, cacheadmin: Cacheadmin, three_users: list[User]
) -> None:
    policy = cacheadmin.policy(reported.cache)
    cacheadmin("usage", policy, code=0)
    state = cacheadmin.folder / "state" / "test.sqlite"
    _forget_history(state)
    result = cacheadmin("report", policy, user=three_users[0], code=0)
    assert "on disk" in result.stdout
    warnings = [line for line in result.stderr.splitlines() if "the state" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("cacheadmin: warning: ")


def _forget_history(state: Path) -> None:
    import sqlite3

    connection = sqlite3.connect(state)
    with connection:
        connection.execute("DELETE FROM size_history")
    connection.close()


def test_a_browser_shows_the_page_and_runs_nothing_of_hostile_names(
    reported: Reported, tmp_path: Path
) -> None:
    reported.cacheadmin("report", reported.policy, "--html", tmp_path / "page.html", code=0)
    visit = visit_page((tmp_path / "page.html").read_bytes(), tmp_path)
    assert visit.requests == (f"GET {PAGE}",)
    assert visit.console == ()
    assert "<title>uv cache test</title>" in visit.dom
    assert "&lt;img src=x onerror=document.title='owned'&gt;" in visit.dom
    assert "<img" not in visit.dom
    # Our own script ran: headers have become buttons.
    assert '<th scope="col"><button type="button"><bdi>package</bdi></button></th>' in visit.dom


def test_a_browser_draws_it_in_the_dark_too(reported: Reported, tmp_path: Path) -> None:
    reported.cacheadmin("report", reported.policy, "--html", tmp_path / "page.html", code=0)
    content = (tmp_path / "page.html").read_bytes()
    width, height, pixels = _pixels(picture_of(content, tmp_path, 900, 1400, _DARK))
    assert (width, height) == (900, 1400)
    assert pixels[0] == (0x10, 0x14, 0x1B)
    colours = set(pixels)
    # Text, cards, the bars of sizes by bucket, and the verdict's edge.
    assert {(0x19, 0x20, 0x2A), (0x6B, 0x9F, 0xFF), (0xF2, 0xC6, 0x66)} <= colours


def _pixels(png: bytes) -> tuple[int, int, list[tuple[int, int, int]]]:
    """Return width, height and pixels of an 8-bit PNG without interlacing."""
    position, packed = 8, b""
    width = height = channels = 0
    while position < len(png):
        length, kind = struct.unpack(">I4s", png[position : position + 8])
        chunk = png[position + 8 : position + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", chunk[:10])
            assert depth == 8
            channels = {2: 3, 6: 4}[colour]
        elif kind == b"IDAT":
            packed += chunk
        position += length + 12
    return width, height, _unfiltered(zlib.decompress(packed), width, height, channels)


def _unfiltered(raw: bytes, width: int, height: int, channels: int) -> list[tuple[int, int, int]]:
    stride = width * channels
    above = bytearray(stride)
    pixels: list[tuple[int, int, int]] = []
    for row in range(height):
        start = row * (stride + 1)
        line = bytearray(raw[start + 1 : start + 1 + stride])
        method = raw[start]
        for i in range(stride) if method else ():
            left = line[i - channels] if i >= channels else 0
            corner = above[i - channels] if i >= channels else 0
            line[i] = (line[i] + _predicted(method, left, above[i], corner)) & 0xFF
        pixels += zip(line[::channels], line[1::channels], line[2::channels], strict=True)
        above = line
    return pixels


def _predicted(method: int, left: int, up: int, corner: int) -> int:
    if method == 4:
        guess = left + up - corner
        return min((left, up, corner), key=lambda one: abs(guess - one))
    return (0, left, up, (left + up) // 2)[method]
