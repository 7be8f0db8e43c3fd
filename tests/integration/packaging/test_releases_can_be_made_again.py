"""A release is built twice to the same bytes, and its bill of materials names what is in it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.support.packages import packages_folder
from tests.support.uv_releases import REPOSITORY

# Two whole builds: `make test-long` makes them.
pytestmark = pytest.mark.long

BUILD = REPOSITORY / "docs" / "operations" / "release" / "build.py"

# The one that tests have at hand; a release takes what build.py names.
BACKEND = "hatchling==1.27.0"


def build(out: Path, **variables: str) -> dict[str, bytes]:
    """Build a release of HEAD, offline; return its files."""
    environment = {
        **os.environ,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": os.fspath(packages_folder()),
        **variables,
    }
    subprocess.run([sys.executable, BUILD, out, "--backend", BACKEND], env=environment, check=True,
                   capture_output=True, timeout=300)  # fmt: skip
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, bytes]]:
    if subprocess.run(["git", "-C", REPOSITORY, "rev-parse"], check=False,
                      capture_output=True).returncode:  # fmt: skip
        pytest.skip("this is no clone: a release is built of a commit")
    folder = tmp_path_factory.mktemp("release")
    one = build(folder / "one")
    before = os.umask(0o077)
    try:
        # Somebody else, elsewhere, at another time.
        two = build(folder / "a longer name", TZ="Asia/Tokyo", LC_ALL="C", HOME=str(folder),
                    SOURCE_DATE_EPOCH="86400")  # fmt: skip
    finally:
        os.umask(before)
    return [one, two]


def test_two_builds_of_one_commit_have_the_same_bytes(twice: list[dict[str, bytes]]) -> None:
    one, two = twice
    assert len(one) == 4
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []


def test_the_sums_are_those_of_the_files(twice: list[dict[str, bytes]]) -> None:
    files = dict(twice[0])
    lines = files.pop("SHA256SUMS").decode().splitlines()
    assert sorted(lines) == sorted(
        f"{hashlib.sha256(content).hexdigest()}  {name}" for name, content in files.items()
    )


@pytest.fixture
def bill(twice: list[dict[str, bytes]]) -> dict[str, Any]:
    (content,) = [content for name, content in twice[0].items() if name.endswith(".cdx.json")]
    found: dict[str, Any] = json.loads(content)
    return found


def test_the_bill_is_of_this_wheel(twice: list[dict[str, bytes]], bill: dict[str, Any]) -> None:
    (wheel,) = [content for name, content in twice[0].items() if name.endswith(".whl")]
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    ours = bill["metadata"]["component"]
    assert ours["name"] == "cacheadmin"
    assert ours["licenses"] == [{"expression": "Apache-2.0"}]
    (digest,) = ours["hashes"]
    assert digest == {"alg": "SHA-256", "content": hashlib.sha256(wheel).hexdigest()}


def test_the_bill_names_every_dependency_and_no_tool_of_developers(bill: dict[str, Any]) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    components = {one["name"]: one for one in bill["components"]}
    for line in project["dependencies"]:
        name = Requirement(line).name
        assert components[name]["scope"] == "required"
        assert components[name]["version"] == importlib.metadata.version(name)
        assert Requirement(line).specifier.contains(components[name]["version"])
    for extra in ("notify", "postgresql"):
        for line in project["optional-dependencies"][extra]:
            assert components[Requirement(line).name]["scope"] == "optional"
    # What they need in turn, and nothing else.
    assert "pydantic-core" in components
    assert not {"pytest", "ruff", "mypy", "hypothesis", "hatchling"} & components.keys()
    assert all(one["purl"] == f"pkg:pypi/{one['name']}@{one['version']}"
               for one in bill["components"])  # fmt: skip


def test_every_reference_of_the_bill_leads_somewhere(bill: dict[str, Any]) -> None:
    ours = bill["metadata"]["component"]["bom-ref"]
    references = [ours, *(one["bom-ref"] for one in bill["components"])]
    assert len(references) == len(set(references))
    assert sorted(row["ref"] for row in bill["dependencies"]) == sorted(references)
    needs = {row["ref"]: row["dependsOn"] for row in bill["dependencies"]}
    reached, waiting = set(), [ours]
    while waiting:
        reference = waiting.pop()
        if reference not in reached:
            reached.add(reference)
            waiting += needs[reference]
    assert reached == set(references)
