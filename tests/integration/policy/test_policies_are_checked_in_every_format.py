"""``policy check`` says of each policy whether it is refused, in every format."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "good.yaml").write_text(f"version: 1\nname: good\ncache: {tmp_path}/cache\n")
    (folder / "wrong.yaml").write_text(
        f"version: 1\nname: wrong\ncache: {tmp_path}/cache\nprune: {{bucket: never}}\n"
    )
    return folder


def test_a_document_names_what_is_accepted_and_what_is_refused(
    cacheadmin: Cacheadmin, policies: Path
) -> None:
    result = cacheadmin("policy", "check", policies, "--format", "json", code=78)
    good, wrong = result.json["policies"]
    assert (good["name"], good["valid"], good["problem"]) == ("good", True, None)
    assert (wrong["path"], wrong["valid"]) == (str(policies / "wrong.yaml"), False)
    assert "prune.bucket" in wrong["problem"] or any("bucket" in one for one in wrong["details"])
    assert "wrong.yaml" in result.stderr


def test_a_folder_without_policies_does_not_hide_the_others(
    cacheadmin: Cacheadmin, policies: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    good = policies / "good.yaml"
    result = cacheadmin("policy", "check", empty, good, "--format", "csv", code=66)
    _, first, second = csv.reader(io.StringIO(result.stdout))
    assert first[:3] == [str(empty), "-", "no"]
    assert second[:3] == [str(good), "good", "yes"]


def test_without_a_format_it_is_a_line_each_and_with_quiet_none(
    cacheadmin: Cacheadmin, policies: Path
) -> None:
    good = policies / "good.yaml"
    assert cacheadmin("policy", "check", good, code=0).stdout == f"{good}: ok\n"
    assert cacheadmin("policy", "check", "-q", good, code=0).stdout == ""
    refused = cacheadmin("policy", "check", "-q", policies, code=78)
    assert (refused.stdout, "wrong.yaml" in refused.stderr) == ("", True)
