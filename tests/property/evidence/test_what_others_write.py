"""Whatever stands in the files that others write: an answer, none, or one clear line.

Each reader gets arbitrary bytes, and real documents in which chance has put
something else at any place: another type, a number without end, a list too deep.
The long form takes minutes for each.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cacheadmin.audit.advisories import read_advisories
from cacheadmin.doctor.projects import selection_of
from cacheadmin.errors import CacheadminError
from cacheadmin.evidence.idleness import loads as use_record
from cacheadmin.evidence.lock_holders import parse_lock
from cacheadmin.evidence.path_files import named_paths
from cacheadmin.evidence.pins import NotAPin, parse_pin
from cacheadmin.evidence.releases import receipt_version
from cacheadmin.evidence.tools import requirements_in
from cacheadmin.fs.access_lists import parse_access_list
from cacheadmin.fs.mounts import parse_mount
from cacheadmin.fs.small_files import ReadFailure, open_directory
from cacheadmin.hosts.documents import Unbelievable, decode
from cacheadmin.hosts.leases import _holder as lease_holder
from cacheadmin.hosts.turns import _holder as database_holder
from cacheadmin.inventory.entries import CacheIdentity
from cacheadmin.overview.timers import cron_times
from cacheadmin.packages.names import parse_pattern
from cacheadmin.packages.record_rows import record_rows
from cacheadmin.policy.parser import parse_policy
from cacheadmin.prune.grace_file import read_periods
from cacheadmin.prune.journal import read_journal
from cacheadmin.prune.quarantine import QuarantineFolder
from cacheadmin.prune.saved_plans import _read as read_saved_plan
from cacheadmin.readers.plain_data import NotThatShapeError, unpack
from cacheadmin.report.pins import pin_json
from cacheadmin.state.archive_sizes import _size as size_record
from cacheadmin.state.notifications import _parsed as notification_record
from cacheadmin.state.size_history import _parsed as history_record
from cacheadmin.text.timestamps import parse_rfc3339, rfc3339
from cacheadmin.trial.folder import LEDGER, TrialFolder
from cacheadmin.trial.ledger import read_ledger
from cacheadmin.uv.binaries import read_binary
from cacheadmin.uv.environment_config import parse_environment_config
from cacheadmin.uv.pointers import package_named_by
from cacheadmin.verify.records import parse_record

_CHECKS = list(HealthCheck)
SHORT = settings(max_examples=60, deadline=None, suppress_health_check=_CHECKS)
LONG = settings(SHORT, max_examples=20_000)

_ODD_NUMBERS = st.sampled_from(
    [float("inf"), float("-inf"), float("nan"), 1e308, 2**63, -(2**63), 10**4000, -1, 0, 1.5]
)
_TEXT = st.text(max_size=12) | st.sampled_from(["", "\0", "\ud800", "../..", "/", "9" * 5000])
_ODD = st.recursive(
    st.none() | st.booleans() | _ODD_NUMBERS | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)

# Stands for more brackets than hypothesis likes to show.
_MUCH = "@much@"
_DEEP = 200_000


def in_full(content: bytes) -> bytes:
    """Put the brackets in."""
    return content.replace(_MUCH.encode(), b"[" * _DEEP)


@st.composite
def damaged(draw: st.DrawFn, document: Any) -> bytes:
    """Draw the JSON of a document with something else at one place or more."""
    copy = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        copy = _damaged(draw, copy)
    with _long_numbers():
        text = json.dumps(copy)
    if draw(st.integers(0, 40)) == 0:
        text = text.replace("[", f"[{_MUCH}", 1)
    content = text.encode("utf-8", "surrogatepass")
    cut = draw(st.integers(0, 20))
    return content[: draw(st.integers(0, len(content)))] if cut == 0 else content


@contextmanager
def _long_numbers() -> Iterator[None]:
    import sys

    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(limit)


def _damaged(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(value)))
        if draw(st.integers(0, 8)) == 0:
            return {name: one for name, one in value.items() if name != key}
        return {**value, key: _damaged(draw, value[key])}
    if isinstance(value, list) and value and draw(st.integers(0, 5)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], _damaged(draw, value[place]), *value[place + 1 :]]
    return draw(_ODD)


# Readers of bytes

LEDGER_DOCUMENT = {
    "schema": "cacheadmin/trial/1",
    "looked_ns": 5,
    "decoys": ["archive-v0/a"],
    "rooted": ["archive-v0/a"],
    "trials": [
        {
            "entry": "archive-v0/abcdefghijklmnop",
            "run_id": "20261121T052343Z-0a1b2c",
            "since_ns": 1,
            "until_ns": 2,
            "link_inode": 3,
            "package": "six",
            "version": "1.0",
            "bytes": 1,
            "files": 1,
            "discounted_ns": 0,
        }
    ],
    "springs": [
        {"entry": "archive-v0/a", "run_id": "r", "at_ns": 1, "why": "sprung", "who": ["ana"]}
    ],
}
PERIODS = {
    "schema": "cacheadmin/grace/1",
    "periods": [
        {"boot": "b", "namespace": "n", "working": [[1, 2]], "marks": {"a": ["i", "s"]}},
    ],
}
PLAN = {
    "schema": "cacheadmin/plan/1",
    "cache": {"path": "/c", "device": 1, "inode": 2},
    "removals": [{"kind": "archive", "path": "archive-v0/a"}],
}
PIN = {
    "format": 1,
    "cache": "/c",
    "inode": 2,
    "package": "six",
    "version": "1.0",
    "reason": "r",
    "created_ns": 1,
    "expires_ns": 2,
}
OBSERVATION = {
    "host": "a",
    "boot": "b",
    "at_ns": 1,
    "uid": 0,
    "version": "0.1",
    "reach": {
        "path": "/c",
        "kind": "ext4",
        "source": "s",
        "mount_point": "/",
        "options": ["rw"],
        "read_only": False,
    },
    "uses": [{"who": "x", "uid": 1, "entries": ["archive-v0/a"]}],
    "releases": [],
    "gaps": [{"id": "i", "subject": "s", "detail": "d", "uid": None}],
    "environments": 1,
}
OSV = {
    "id": "X-1",
    "summary": "s",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "six"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.0"}]}],
            "versions": ["0.9"],
        }
    ],
}
JOURNAL: list[dict[str, Any]] = [
    {"record": "run", "run_id": "r", "begun_at": "2026-11-21T05:23:43Z", "cache": {"inode": 2}},
    {"record": "entry", "path": "archive-v0/a", "kind": "archive", "bytes": 1},
    {"record": "rights", "folders": {"": {"mode": 493, "uid": 0, "gid": 0}}},
    {"record": "times", "before": {"": 1}, "after": {"": 2}},
    {"record": "state", "state": "committed", "at": "x", "not_moved": []},
]


def in_a_file(content: bytes, name: str, read: Callable[[Path], object]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="cacheadmin-fuzz-"))
    try:
        (folder / name).write_bytes(content)
        read(folder / name)
    finally:
        shutil.rmtree(folder)


def with_folder(read: Callable[[int], object]) -> Callable[[Path], object]:
    def call(path: Path) -> None:
        fd = open_directory(str(path.parent))
        try:
            read(fd)
        finally:
            os.close(fd)

    return call


def ledger(content: bytes) -> None:
    def read(fd: int) -> None:
        read_ledger(TrialFolder(fd, fd, 0, frozenset()))

    in_a_file(content, LEDGER, with_folder(read))


def periods(content: bytes) -> None:
    def read(fd: int) -> None:
        read_periods(QuarantineFolder(fd, "/q", "", 0))

    in_a_file(content, "grace.json", with_folder(read))


def journal(content: bytes) -> None:
    def read(fd: int) -> None:
        found = read_journal(fd)
        if found is not None:
            found.is_of(CacheIdentity("/c", 1, 2))
            parse_rfc3339(str(found.run.get("begun_at", "")))
            assert all(isinstance(entry["path"], str) for entry in found.moved_entries)

    in_a_file(content, "journal.jsonl", with_folder(read))


def saved_plan(content: bytes) -> None:
    in_a_file(content, "plan.json", refusing(lambda path: read_saved_plan(str(path))))


def advisories(content: bytes) -> None:
    in_a_file(content, "osv.json", refusing(lambda path: read_advisories([str(path)])))


def policy(content: bytes) -> None:
    refusing(lambda text: parse_policy(text, "/etc/p.yaml"))(content)


def pin(content: bytes) -> None:
    try:
        found, claims = parse_pin(content, "/c/p", 1)
    except NotAPin:
        return
    json.dumps(pin_json(found, "ana", "active"))
    assert claims["cache"]


def observation(content: bytes) -> None:
    try:
        decode(content)
    except Unbelievable as error:
        assert len(str(error)) < 1000


def path_file(content: bytes) -> None:
    for name in ("x.pth", "__editable___x.py"):
        in_a_file(content, name, lambda path: named_paths(str(path), linked=False))


def lock_file(content: bytes) -> None:
    folder = Path(tempfile.mkdtemp(prefix="cacheadmin-fuzz-"))
    try:
        for name in ("uv.lock", "pyproject.toml"):
            (folder / name).write_bytes(content)
        (folder / ".venv").mkdir()
        selection_of(str(folder / ".venv"), {"six": "1.0"})
        (folder / "pyproject.toml").write_text("[project]\nname = 'x'\n")
        selection_of(str(folder / ".venv"), {"six": "1.0"})
    finally:
        shutil.rmtree(folder)


def mount_line(content: bytes) -> None:
    # What the kernel writes has these fields; a name may hold what it likes.
    line = b"36 35 98:0 /root /mnt rw,x - ext4 " + content.replace(b"\n", b"") + b" rw\n"
    parse_mount(line)


def binary(content: bytes) -> None:
    in_a_file(b"\x7fELF" + content, "uv", refusing(lambda path: read_binary(str(path))))


def plain(content: bytes) -> None:
    try:
        unpack(content)
    except NotThatShapeError:
        pass


def lease(content: bytes) -> None:
    assert lease_holder(content) is None or lease_holder(content).words()
    database_holder(content.decode("utf-8", "replace"))


def texts(content: bytes) -> None:
    text = content.decode("utf-8", "replace")
    for read in (use_record, size_record, notification_record):
        read(text)
    history_record(1, text)
    moment = parse_rfc3339(text)
    assert moment is None or rfc3339(moment)
    cron_times(text, "x", "/etc/crontab")
    try:
        parse_pattern(text)
    except ValueError:
        pass


def small_files(content: bytes) -> None:
    receipt_version(content)
    parse_environment_config(content)
    requirements_in(content)
    package_named_by(content)
    parse_access_list(content)
    parse_lock(content)
    assert sum(1 for _ in record_rows(content)) <= len(content) + 1
    parse_record(content)


def refusing(read: Callable[[Any], object]) -> Callable[[Any], object]:
    """Let a reader refuse in one line, and nothing else."""

    def call(given: Any) -> object:
        try:
            return read(given)
        except CacheadminError as error:
            assert error.message
            assert "\n" not in error.message
            return None

    return call


DOCUMENTS: dict[str, tuple[Callable[[bytes], None], Any]] = {
    "ledger": (ledger, LEDGER_DOCUMENT),
    "periods": (periods, PERIODS),
    "saved plan": (saved_plan, PLAN),
    "pin": (pin, PIN),
    "observation": (observation, OBSERVATION),
    "advisories": (advisories, [OSV]),
    "lease": (lease, {"host": "a", "boot": "b", "pid": 1, "uid": 2}),
    "use record": (texts, {"host": ["boot", 1, 2]}),
    "size record": (texts, [1, 2, "p", 3, 4, 5]),
    "notification": (texts, [1, 2, ["a"]]),
    "history record": (texts, {"bytes": 1, "files": 2, "buckets": {}, "teams": {}, "packages": {}}),
    "policy": (
        policy,
        {"version": 1, "name": "x", "cache": "/c", "prune": {"trial": {"for": "1d"}}},
    ),
    "plain data": (plain, [1]),
}
ANY_BYTES: dict[str, Callable[[bytes], None]] = {
    "journal": journal,
    "ledger": ledger,
    "saved plan": saved_plan,
    "policy": policy,
    "pin": pin,
    "observation": observation,
    "advisories": advisories,
    "path file": path_file,
    "lock file": lock_file,
    "mount line": mount_line,
    "binary": binary,
    "plain data": plain,
    "texts": texts,
    "small files": small_files,
}

_LOCK = """version = 1
[[package]]
name = "x"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "six" }]
[package.dev-dependencies]
dev = [{ name = "six" }]
[[package]]
name = "six"
version = "1.0"
source = { registry = "https://example.org/simple" }
"""
SEEDS = (
    b"",
    b"home = /usr/bin\nuv = 0.13.9\n",
    b"Name: six\nVersion: 1.0\nRequires-Dist: idna>=3\n\n",
    b"six/__init__.py,sha256=abc,12\n",
    b"version: 1\nname: x\ncache: /c\n",
    b'[tool]\nrequirements = [{ name = "six" }]\n',
    b"/srv/uv/archive-v0/abc\nimport site; site.addsitedir('/x')\n",
    b"*/5 * * * * root cacheadmin prune x\n",
    b"1: FLOCK  ADVISORY  WRITE 77 08:01:12 0 EOF\n",
    _LOCK.encode(),
)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """Draw bytes, or a real file with some of its bytes exchanged, doubled or cut."""
    content = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(content)))
        piece = draw(
            st.binary(max_size=6) | st.sampled_from([b"\0", b"{", b"[" * 500, b"9" * 5000])
        )
        content = content[:place] + piece + content[place + draw(st.integers(0, 6)) :]
    return content + draw(st.binary(max_size=20))


@st.composite
def spoiled_journals(draw: st.DrawFn) -> bytes:
    """Draw a journal with damaged lines, torn ones, and lines that are missing."""
    lines = []
    for record in JOURNAL:
        choice = draw(st.integers(0, 5))
        if choice == 0:
            continue
        if choice == 1:
            # One whose word for its kind is whole.
            damaged_record = draw(damaged({k: v for k, v in record.items() if k != "record"}))
            rest = damaged_record.removeprefix(b"{")
            lines.append(b'{"record": "' + record["record"].encode() + b'", ' + rest)
        else:
            lines.append(json.dumps(record).encode())
    return b"\n".join(lines) + draw(st.sampled_from([b"", b"\n", b'\n{"record": "sta']))


def _try_documents(name: str, profile: settings) -> None:
    read, document = DOCUMENTS[name]

    @profile
    @given(damaged(document))
    def try_one(content: bytes) -> None:
        read(in_full(content))

    try_one()


def _try_bytes(name: str, profile: settings) -> None:
    profile(given(spoiled() | st.binary(max_size=200))(ANY_BYTES[name]))()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_damaged_documents(name: str) -> None:
    _try_documents(name, SHORT)


@pytest.mark.parametrize("name", ANY_BYTES)
def test_spoiled_files(name: str) -> None:
    _try_bytes(name, SHORT)


@SHORT
@given(spoiled_journals())
def test_spoiled_journals(content: bytes) -> None:
    journal(content)


@pytest.mark.long
@pytest.mark.parametrize("name", DOCUMENTS)
def test_many_damaged_documents(name: str) -> None:
    _try_documents(name, LONG)


@pytest.mark.long
@pytest.mark.parametrize("name", ANY_BYTES)
def test_many_spoiled_files(name: str) -> None:
    _try_bytes(name, LONG)


@pytest.mark.parametrize("cache", ["state", None, [1], 7])
def test_a_journal_whose_cache_is_no_mapping_ends_nothing(cache: object) -> None:
    journal(json.dumps({"record": "run", "run_id": "r", "cache": cache}).encode())


@pytest.mark.long
@LONG
@given(spoiled_journals())
def test_many_spoiled_journals(content: bytes) -> None:
    journal(content)


def test_a_reader_keeps_to_its_limit(tmp_path: Path) -> None:
    """A file of any size costs no more than its reader may take."""
    large = tmp_path / "x.pth"
    with large.open("wb") as file:
        file.truncate(1 << 40)
    for read in (
        lambda: named_paths(str(large), linked=False),
        lambda: refusing(lambda path: read_saved_plan(str(path)))(large),
        lambda: refusing(lambda path: read_advisories([str(path)]))(large),
    ):
        found = read()
        assert found is None or found == [] or isinstance(found, ReadFailure)
