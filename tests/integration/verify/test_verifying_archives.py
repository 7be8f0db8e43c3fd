"""What ``verify`` finds in one archive: damage, additions, and what attackers leave."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import py_compile
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.inventory.reader import read_inventory
from cacheadmin.verify.check import check_archive
from tests.support.users import other_users
from tests.support.wheel_archives import checked, empty_cache, record_line, write_archive

MODULE = b"value = 1\n"
FILES = {"demo/__init__.py": MODULE, "demo/data.txt": b"data", "demo/empty.py": b""}


@pytest.fixture
def cache(open_folder: Path) -> Path:
    return empty_cache(open_folder / "cache")


@pytest.fixture
def archive(cache: Path) -> Path:
    return write_archive(cache, "demo", FILES)


def test_an_untouched_archive_has_nothing_wrong(cache: Path, archive: Path) -> None:
    assert checked(cache) == {}


def append(archive: Path) -> None:
    with (archive / "demo/data.txt").open("ab") as file:
        file.write(b"more")


def swap_a_byte(archive: Path) -> None:
    (archive / "demo/data.txt").write_bytes(b"dato")


def sparse_terabyte(archive: Path) -> None:
    os.truncate(archive / "demo/data.txt", 1 << 40)


def fifo(archive: Path) -> None:
    (archive / "demo/data.txt").unlink()
    os.mkfifo(archive / "demo/data.txt")


def folder(archive: Path) -> None:
    (archive / "demo/data.txt").unlink()
    (archive / "demo/data.txt").mkdir()


def extra_fifo(archive: Path) -> None:
    os.mkfifo(archive / "demo/pipe")


def link_out(archive: Path) -> None:
    (archive / "demo/data.txt").unlink()
    os.symlink("/etc/shadow", archive / "demo/data.txt")


def link_inside(archive: Path) -> None:
    os.symlink("data.txt", archive / "demo/other.txt")


def link_for_a_file(archive: Path) -> None:
    (archive / "demo/data.txt").unlink()
    os.symlink("empty.py", archive / "demo/data.txt")


def fifo_for_a_signature(archive: Path) -> None:
    os.mkfifo(archive / "demo-1.0.dist-info/RECORD.jws")


def command(archive: Path) -> None:
    folder = archive / "demo-1.0.data/data/bin"
    folder.mkdir(parents=True)
    (folder / "ls").write_text("#!/bin/sh\n")


def linked_folder(archive: Path) -> None:
    os.symlink("/etc", archive / "demo/etc")


def module(archive: Path) -> None:
    (archive / "demo/evil.py").write_bytes(b"")


def path_file(archive: Path) -> None:
    (archive / "demo.pth").write_text("import evil")


def entry_points(archive: Path) -> None:
    (archive / "demo-1.0.dist-info/entry_points.txt").write_text("[console_scripts]\nls=x:y\n")


def note(archive: Path) -> None:
    (archive / "demo/notes").write_bytes(b"x")


def missing(archive: Path) -> None:
    (archive / "demo/data.txt").unlink()


def emptied(archive: Path) -> None:
    os.truncate(archive / "demo/data.txt", 0)


def no_record(archive: Path) -> None:
    (archive / "demo-1.0.dist-info/RECORD").unlink()


def empty_record(archive: Path) -> None:
    os.truncate(archive / "demo-1.0.dist-info/RECORD", 0)


def linked_record(archive: Path) -> None:
    (archive / "demo-1.0.dist-info/RECORD").unlink()
    os.symlink("/etc/passwd", archive / "demo-1.0.dist-info/RECORD")


def no_information(archive: Path) -> None:
    (archive / "demo-1.0.dist-info").rename(archive / "information")


def second_information(archive: Path) -> None:
    other = archive / "evil-1.0.dist-info"
    other.mkdir()
    (archive / "evil.py").write_bytes(MODULE)
    rows = [record_line("evil.py", MODULE), ["evil-1.0.dist-info/RECORD", "", ""]]
    (other / "RECORD").write_text("".join(",".join(row) + "\n" for row in rows))


def deep_tree(archive: Path) -> None:
    with contextlib.chdir(archive):
        for _ in range(300):
            os.mkdir("d")
            os.chdir("d")


@pytest.mark.parametrize(
    ("act", "rule", "severity", "path", "what"),
    [
        (append, "file-changed", "error", "demo/data.txt", "8 bytes, not 4"),
        (swap_a_byte, "file-changed", "error", "demo/data.txt", "other content"),
        (sparse_terabyte, "file-changed", "error", "demo/data.txt", "1099511627776 bytes, not 4"),
        (fifo, "file-changed", "error", "demo/data.txt", "a FIFO"),
        (folder, "file-changed", "error", "demo/data.txt", "a folder"),
        (extra_fifo, "file-extra", "error", "demo/pipe", "a FIFO"),
        (link_out, "link-in-archive", "error", "demo/data.txt", "leads to /etc/shadow"),
        (linked_folder, "link-in-archive", "error", "demo/etc", "leads to /etc"),
        (link_inside, "link-in-archive", "warning", "demo/other.txt", "in the archive"),
        (link_for_a_file, "link-in-archive", "error", "demo/data.txt", "in the archive"),
        (fifo_for_a_signature, "file-extra", "error", "demo-1.0.dist-info/RECORD.jws", "a FIFO"),
        (command, "file-extra", "error", "demo-1.0.data/data/bin/ls", "not in RECORD"),
        (module, "file-extra", "error", "demo/evil.py", "not in RECORD"),
        (path_file, "file-extra", "error", "demo.pth", "not in RECORD"),
        (entry_points, "file-extra", "error", "demo-1.0.dist-info/entry_points.txt", ""),
        (note, "file-extra", "warning", "demo/notes", "not in RECORD"),
        (missing, "file-missing", "error", "demo/data.txt", "not there"),
        (emptied, "archive-half-written", "error", "demo/data.txt", "empty, not 4 bytes"),
        (no_record, "record-missing", "error", "demo-1.0.dist-info/RECORD", "there is none"),
        (empty_record, "archive-half-written", "error", "demo-1.0.dist-info/RECORD", "empty"),
        (linked_record, "record-missing", "error", "demo-1.0.dist-info/RECORD", "link"),
        (no_information, "archive-half-written", "error", "", "no dist-info"),
        (second_information, "file-extra", "error", "evil-1.0.dist-info", "another dist-info"),
        (deep_tree, "unreadable", "error", "d" + "/d" * 64, "deeper than any uv release"),
    ],
)
def test_each_kind_of_harm_is_named(
    cache: Path,
    archive: Path,
    act: Callable[[Path], None],
    rule: str,
    severity: str,
    path: str,
    what: str,
) -> None:
    act(archive)
    found = checked(cache)
    assert list(found) == [(rule, severity)]
    (problem,) = found[rule, severity].examples
    assert problem.path == path
    assert what in problem.what


def test_a_large_file_is_compared_piece_by_piece(cache: Path) -> None:
    content = os.urandom(9 * 1024 * 1024)
    archive = write_archive(cache, "demo", {"demo/large.bin": content})
    assert checked(cache) == {}
    with (archive / "demo/large.bin").open("r+b") as file:
        file.seek(8 * 1024 * 1024)
        file.write(bytes([content[8 * 1024 * 1024] ^ 1]))
    found = checked(cache)
    assert found["file-changed", "error"].examples[0].path == "demo/large.bin"
    assert list(found) == [("file-changed", "error")]


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_every_hash_that_the_specification_allows_is_compared(cache: Path, algorithm: str) -> None:
    rows = [record_line('demo/a,"b".py', MODULE, algorithm)]
    archive = write_archive(cache, "demo", {'demo/a,"b".py': MODULE}, rows=rows)
    for name in ("METADATA", "WHEEL"):
        (archive / "demo-1.0.dist-info" / name).unlink()
    assert checked(cache) == {}
    (archive / "demo" / 'a,"b".py').write_bytes(b"value = 2\n")
    assert list(checked(cache)) == [("file-changed", "error")]


def test_names_that_are_no_utf_8_are_found(cache: Path) -> None:
    name = os.fsdecode(b"demo/\xff\xfe.py")
    archive = write_archive(cache, "demo", {name: MODULE})
    assert checked(cache) == {}
    Path(os.fsdecode(os.fsencode(archive) + b"/demo/\xff\xfe.py")).write_bytes(b"value = 3\n")
    assert checked(cache)["file-changed", "error"].examples[0].path == name


def test_paths_that_lead_out_are_never_opened(cache: Path, open_folder: Path) -> None:
    secret = open_folder / "secret"
    os.mkfifo(secret)
    outside = [
        record_line("../../../secret", MODULE),
        record_line(str(secret), MODULE),
        record_line("demo/../../demo/__init__.py", MODULE),
    ]
    write_archive(cache, "demo", FILES, more_rows=tuple(outside))
    found = checked(cache)
    assert list(found) == [("record-unsafe", "error")]
    assert found["record-unsafe", "error"].count == 3


def test_lines_that_differ_and_hashes_that_prove_nothing_are_named(cache: Path) -> None:
    other = record_line("demo/data.txt", b"dato")
    weak = ["demo/weak.txt", "md5=jXd_OF09_siBXSD3SWAm3A", "4"]
    write_archive(cache, "demo", {**FILES, "demo/weak.txt": b"data"}, more_rows=(other, weak))
    found = checked(cache)
    assert found["record-unsafe", "error"].count == 2
    assert {p.path for p in found["record-unsafe", "error"].examples} == {
        "demo/data.txt",
        "demo/weak.txt",
    }
    assert [p.path for p in found["record-unsafe", "warning"].examples] == ["demo/weak.txt"]


def compile_module(archive: Path, mode: py_compile.PycInvalidationMode) -> Path:
    source = archive / "demo/__init__.py"
    return Path(str(py_compile.compile(str(source), invalidation_mode=mode)))


MODES = py_compile.PycInvalidationMode


def test_compiled_files_that_fit_are_a_remark(cache: Path, archive: Path) -> None:
    compile_module(archive, MODES.TIMESTAMP)
    found = checked(cache)
    assert list(found) == [("file-extra", "info")]
    compile_module(archive, MODES.CHECKED_HASH)
    assert list(checked(cache)) == [("file-extra", "info")]


def test_compiled_files_that_smuggle_code_are_found(cache: Path, archive: Path) -> None:
    compiled = compile_module(archive, MODES.UNCHECKED_HASH)
    assert list(checked(cache)) == [("bytecode-stale", "error")]
    # Imported in the place of a module that is not there.
    compiled.rename(archive / "demo/hidden.pyc")
    found = checked(cache)
    assert list(found) == [("bytecode-stale", "error")]
    assert "imports it as it is" in found["bytecode-stale", "error"].examples[0].what


def test_compiled_files_of_another_source_are_stale(cache: Path, archive: Path) -> None:
    compiled = compile_module(archive, MODES.TIMESTAMP)
    content = bytearray(compiled.read_bytes())
    content[8] ^= 1
    compiled.write_bytes(content)
    assert list(checked(cache)) == [("bytecode-stale", "warning")]
    digest = importlib.util.source_hash(b"other")
    compiled.write_bytes(bytes(content[:4]) + b"\x03\0\0\0" + digest + bytes(content[16:]))
    assert list(checked(cache)) == [("bytecode-stale", "warning")]


def test_compiled_files_in_record_are_no_less_code(cache: Path) -> None:
    compiled = importlib.util.MAGIC_NUMBER + bytes(12) + b"code"
    rows = (["demo/hidden.pyc", "", ""], record_line("demo/only.pyc", compiled))
    archive = write_archive(cache, "demo", FILES, more_rows=rows)
    (archive / "demo/only.pyc").write_bytes(compiled)
    assert checked(cache) == {}
    (archive / "demo/hidden.pyc").write_bytes(compiled)
    (problem,) = checked(cache)["record-unsafe", "warning"].examples
    assert "demo/hidden.pyc" in problem.path
    (archive / "demo/hidden.pyc").unlink()
    (archive / "demo/only.pyc").unlink()
    (problem,) = checked(cache)["file-missing", "error"].examples
    assert problem.path == "demo/only.pyc"


@pytest.mark.root
def test_what_somebody_else_compiled_is_not_trusted(cache: Path, archive: Path) -> None:
    ana, ben = other_users(2)
    os.chown(archive, ana.uid, ana.gid)
    compiled = compile_module(archive, MODES.TIMESTAMP)
    os.chown(compiled, ana.uid, ana.gid)
    assert list(checked(cache)) == [("file-extra", "info")]
    os.chown(compiled, ben.uid, ben.gid)
    (problem,) = checked(cache)["bytecode-stale", "warning"].examples
    assert problem.touched is not None
    assert problem.touched.uid == ben.uid


@pytest.mark.root
def test_a_record_of_somebody_else_is_not_trusted(cache: Path, archive: Path) -> None:
    ana, ben = other_users(2)
    os.chown(archive, ana.uid, ana.gid)
    os.chown(archive / "demo-1.0.dist-info/RECORD", ben.uid, ben.gid)
    assert list(checked(cache)) == [("record-unsafe", "warning")]


def test_a_file_that_is_swapped_all_the_time_stops_nothing(cache: Path, archive: Path) -> None:
    import threading

    stop = threading.Event()
    victim, spare = archive / "demo/data.txt", archive.parent.parent / "spare"

    def swap() -> None:
        while not stop.is_set():
            for make in (lambda: os.mkfifo(spare), lambda: os.symlink("/etc/shadow", spare)):
                make()
                os.replace(spare, victim)

    os.unlink(victim)
    os.mkfifo(victim)
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(20):
            # An archive that changes is never found to be right.
            assert {rule for rule, _ in checked(cache)} <= {
                "file-changed",
                "link-in-archive",
                "file-missing",
            }
            assert checked(cache)
    finally:
        stop.set()
        thread.join()


@pytest.mark.root
@pytest.mark.skipif(shutil.which("setfacl") is None, reason="needs setfacl")
def test_who_may_write_is_told_by_mode_and_access_list(cache: Path, archive: Path) -> None:
    ana, ben = other_users(2)
    victim = archive / "demo/data.txt"
    victim.write_bytes(b"dato")

    def writers() -> str:
        (problem,) = checked(cache)["file-changed", "error"].examples
        assert problem.touched is not None
        return problem.touched.writers

    os.chown(victim, ana.uid, ana.gid)
    victim.chmod(0o644)
    assert writers() == f"root, uid {ana.uid}"
    victim.chmod(0o664)
    assert writers() == f"root, uid {ana.uid}, group {ana.gid}"
    victim.chmod(0o646)
    assert writers() == f"root, uid {ana.uid}, every user"
    # Nor is it only they who can put other content there.
    victim.parent.chmod(0o757)
    (problem,) = checked(cache)["file-changed", "error"].examples
    assert problem.touched is not None
    assert problem.touched.replacers == "root, every user"
    victim.chmod(0o640)
    subprocess.run(["setfacl", "-m", f"u:{ben.uid}:rw", victim], check=True)
    assert writers() == f"root, uid {ana.uid}, uid {ben.uid}"
    # What the mask takes back is no right.
    subprocess.run(["setfacl", "-m", "m::r", victim], check=True)
    assert writers() == f"root, uid {ana.uid}"


def test_a_wheel_that_poses_as_an_environment_is_found(cache: Path, archive: Path) -> None:
    (archive / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (archive / "demo/__init__.py").write_bytes(b"evil = 1\n")
    found = checked(cache)
    assert {problem.path for problem in found["file-extra", "error"].examples} == {
        "demo/__init__.py",
        "demo/empty.py",
    }


def test_problems_without_end_are_counted_and_a_few_named(cache: Path, archive: Path) -> None:
    for number in range(500):
        (archive / f"demo/extra{number}.py").touch()
    found = checked(cache)["file-extra", "error"]
    assert found.count == 500
    assert len(found.examples) == 3


def write_environment(cache: Path, records: dict[str, list[list[str]]]) -> Path:
    """Write a cached environment with RECORDs, by path of their site-packages and dist-info."""
    environment = cache / "archive-v0" / "environmentxxxxx"
    environment.mkdir()
    (environment / "pyvenv.cfg").write_text("home = /usr/bin\n")
    for path, rows in records.items():
        folder = environment / "lib" / path
        folder.mkdir(parents=True)
        (folder / "RECORD").write_text("".join(",".join(row) + "\n" for row in rows))
    return environment


def test_distributions_may_share_a_file_in_an_environment(cache: Path) -> None:
    one, other = b"x = 1\n", b"other = 2\n"
    packages = "python3.11/site-packages"
    records = {
        f"{packages}/{name}-1.0.dist-info": [record_line("shared.py", content)]
        for name, content in (("a", one), ("b", other))
    }
    environment = write_environment(cache, records)
    shared = environment / "lib" / packages / "shared.py"
    for content in (one, other):
        shared.write_bytes(content)
        assert checked(cache) == {}
    shared.write_bytes(b"evil = 3\n")
    assert list(checked(cache)) == [("file-changed", "error")]


def test_many_records_of_an_environment_are_read_no_further_than_one(cache: Path) -> None:
    rows = [["no", "line", "of", "it"]] * 130_000
    paths = [f"python3.{minor}/site-packages/a-1.0.dist-info" for minor in (10, 11)]
    write_environment(cache, dict.fromkeys(paths, rows))
    found = checked(cache)["record-unsafe", "error"]
    assert [problem.path for problem in found.examples] == [f"lib/{paths[1]}/RECORD"]


def test_an_archive_that_is_swapped_meanwhile_is_judged_as_it_was(cache: Path) -> None:
    environment = write_environment(cache, {})
    os.symlink("/etc/passwd", environment / "evil.py")

    def swap(*_: str) -> None:
        environment.rename(cache / "away")
        environment.mkdir()

    with open_cache(str(cache)) as opened:
        (archive,) = read_inventory(opened).archives.values()
        one = check_archive(opened.fd, opened.identity.path, archive, swap)
    assert not one.gone
    assert [rule.value for rule, _ in one.found] == ["link-in-archive"]
