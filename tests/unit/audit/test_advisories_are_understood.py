"""Advisories as security teams hand them in: OSV and pip-audit, single, listed, zipped."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cacheadmin.audit.advisories import Advisories, read_advisories
from cacheadmin.errors import WrongUsage

RANGED: dict[str, Any] = {
    "schema_version": "1.6.0",
    "id": "PYSEC-2024-1",
    "summary": "Bad  things\nhappen",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "Some_Package"},
            "ranges": [
                {
                    "type": "ECOSYSTEM",
                    "events": [
                        {"introduced": "0"},
                        {"fixed": "1.0"},
                        {"introduced": "2.0"},
                        {"last_affected": "2.3"},
                        {"introduced": "3.0rc1"},
                    ],
                },
                {"type": "GIT", "events": [{"introduced": "0"}]},
            ],
            "versions": ["1.5"],
        },
        {"package": {"ecosystem": "npm", "name": "some-package"}, "versions": ["1.1"]},
    ],
}
WITHDRAWN = {**RANGED, "id": "PYSEC-2024-2", "withdrawn": "2024-02-01T00:00:00Z"}
PIP_AUDIT = {
    "dependencies": [
        {"name": "fine", "version": "1.0", "vulns": []},
        {"name": "local", "skip_reason": "not on any index"},
        {
            "name": "Some.Package",
            "version": "1.1",
            "vulns": [{"id": "GHSA-x", "fix_versions": ["1.2"], "description": "Bad."}],
        },
    ],
    "fixes": [],
}


def read(folder: Path, content: object, name: str = "advisories.json") -> Advisories:
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_advisories([str(file)])


def ids(found: Advisories, version: str | None) -> list[str]:
    return [one.id for one in found.about("some-package", version)]


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("0.9", True),
        ("1.0", False),
        ("1.0.dev1", True),
        ("1.1", False),
        ("1.5", True),
        ("1.5.0", True),
        ("2.3", True),
        ("2.3.1", False),
        ("3.0rc1", True),
        ("3.0b1", False),
        ("99", True),
        ("no-version", True),
        (None, True),
    ],
)
def test_ranges_are_compared_as_pep_440_says(
    tmp_path: Path, version: str | None, affected: bool
) -> None:
    assert bool(ids(read(tmp_path, RANGED), version)) is affected


@pytest.mark.parametrize(
    "content",
    [
        [RANGED, WITHDRAWN],
        {"vulns": [RANGED]},
        {"results": [{"packages": [{"package": {}, "vulnerabilities": [RANGED, WITHDRAWN]}]}]},
    ],
)
def test_lists_and_answers_of_scanners_are_read(tmp_path: Path, content: object) -> None:
    found = read(tmp_path, content)
    (one,) = found.about("Some-Package", "0.1")
    assert (one.id, one.summary, one.fixed_in) == ("PYSEC-2024-1", "Bad things happen", ("1.0",))


def test_a_report_of_pip_audit_names_one_version(tmp_path: Path) -> None:
    for content in (PIP_AUDIT, PIP_AUDIT["dependencies"]):
        found = read(tmp_path, content)
        assert ids(found, "1.1") == ["GHSA-x"]
        assert ids(found, "1.2") == []


def test_folders_and_zip_archives_hold_one_advisory_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "osv"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(RANGED))
    (folder / "b.json").write_text(json.dumps({**RANGED, "id": "B"}))
    (folder / "README").write_text("no JSON")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    for path in (folder, tmp_path / "all.zip"):
        assert ids(read_advisories([str(path)]), "0.1") == ["PYSEC-2024-1", "B"]


@pytest.mark.parametrize("content", ["{", "[]x", "[[[", '{"a": 1}', "3", '{"affected": [{}, 1]}'])
def test_anything_else_is_an_error_that_names_the_file(tmp_path: Path, content: str) -> None:
    with pytest.raises(WrongUsage, match=r"advisories\.json"):
        read(tmp_path, content)


def test_what_is_missing_or_empty_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_text("no zip")
    for name in ("nothing.json", "bad.zip", ""):
        with pytest.raises(WrongUsage):
            read_advisories([str(tmp_path / name)])
