"""A line of RECORD ends where CSV ends it, whatever a file is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from cacheadmin.doctor.records import recorded_files
from cacheadmin.fs.small_files import ReadFailure
from cacheadmin.packages.record_rows import record_rows


@pytest.mark.parametrize("name", ["a\u2028b.py", "a\x0bb.py", "a\x85b.py", "a\x1cb.py"])
def test_separators_of_unicode_end_no_line(name: str, tmp_path: Path) -> None:
    content = f"{name},sha256=x,1\nc.py,,\n".encode()
    assert [row and row[0] for row in record_rows(content)] == [name, "c.py"]
    information = tmp_path / "site" / "a-1.dist-info"
    information.mkdir(parents=True)
    (information / "RECORD").write_bytes(content)
    site = information.parent
    found = recorded_files(str(information), str(tmp_path))
    assert found == (f"{site}/{name}", f"{site}/c.py")


def test_what_is_no_csv_is_said(tmp_path: Path) -> None:
    # Longer than any field of CSV may be.
    content = b"a.py,,\n" + b"x" * 200_000 + b",,\n"
    assert None in list(record_rows(content))
    (tmp_path / "a-1.dist-info").mkdir()
    (tmp_path / "a-1.dist-info" / "RECORD").write_bytes(content)
    found = recorded_files(str(tmp_path / "a-1.dist-info"), str(tmp_path))
    assert isinstance(found, ReadFailure)
    assert "no RECORD" in found.reason
