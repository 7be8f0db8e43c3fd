"""Whatever a RECORD says: reading it never fails, and nothing outside the archive is named."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from cacheadmin.verify.bytecode import SourceFile, judge
from cacheadmin.verify.records import inside, parse_record
from cacheadmin.verify.sample import in_sample
from tests.support.wheel_archives import record_line

parts = st.sampled_from(["..", ".", "", "a", "b.py", "...", "..a", "a..", '"', "\n", "\udcff"])
paths = st.lists(parts, max_size=8).map("/".join)
# Python's csv.writer does not quote a carriage return where lines end in a newline alone.
names = st.text(st.characters(exclude_characters="\r"), min_size=1)
bases = st.sampled_from(["", "lib/python3.11/site-packages"])


@given(st.binary(), bases)
def test_any_bytes_can_be_read(content: bytes, base: str) -> None:
    record = parse_record(content, base)
    for path in record.lines:
        assert path
        assert not path.startswith("/")
        assert not {"", ".", ".."} & set(path.split("/"))


@given(paths | st.text(), bases)
def test_no_path_leaves_the_archive(path: str, base: str) -> None:
    found = inside(path, base)
    where = os.path.normpath(os.path.join("/archive", base, path))
    if found is None:
        # Refused: what leads out at any step, even if it came back.
        return
    assert os.path.normpath(f"/archive/{found}") == where
    assert where == "/archive" or where.startswith("/archive/")


@given(st.lists(st.tuples(names, st.binary(max_size=20)), max_size=6))
def test_what_the_right_way_wrote_is_read_back(files: list[tuple[str, bytes]]) -> None:
    import csv
    import hashlib
    import io

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        record_line(f"x{number}{name}", content) for number, (name, content) in enumerate(files)
    )
    try:
        encoded = os.fsencode(text.getvalue())
    except UnicodeEncodeError:
        return
    record = parse_record(encoded)
    assert not record.unreadable
    for number, (name, content) in enumerate(files):
        path = inside(f"x{number}{name}", "")
        if path:
            line = record.lines[path]
            assert line.digest == hashlib.sha256(content).digest()
            assert line.size_bytes == len(content)


@given(st.binary(max_size=20), st.binary(max_size=20) | st.none(), st.integers(-(2**40), 2**80))
def test_any_header_of_a_compiled_file_can_be_judged(
    header: bytes, content: bytes | None, mtime_ns: int
) -> None:
    judge(header, "a/__pycache__/b.pyc", SourceFile(mtime_ns, 3, content))
    judge(header, "b.pyc", None)


@given(st.text(), st.floats(0.001, 1), st.integers(0, 100_000))
def test_every_archive_has_its_turn_within_the_round(archive: str, share: float, day: int) -> None:
    nights = -int(-1 // share) + 1
    turns = [in_sample(archive, share, day + night) for night in range(nights)]
    assert sum(turns) >= 1
    assert sum(turns) <= nights * share + 1
