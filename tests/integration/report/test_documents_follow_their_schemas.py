"""Every JSON document that a command prints follows its schema in docs/schemas, to the last key."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from cacheadmin.cli.schema_files import schema_files
from cacheadmin.report.document_schemas import document_schemas
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.document_checks import check_document
from tests.support.incident import Incident
from tests.support.trial_sites import lay_out, opened_site
from tests.support.uv_releases import NEWEST, uv_binary

JSON = ("--format", "json")


class Seen:
    """Runs commands, checks what they print, and remembers which documents were met."""

    def __init__(self, cacheadmin: Cacheadmin) -> None:
        self.cacheadmin = cacheadmin
        self.names: set[str] = set()

    def __call__(self, *words: str | Path) -> Any:
        result = self.cacheadmin(*words, *JSON)
        document = json.loads(result.stdout)
        check_document(document, closed=True)
        self.names.add(document["schema"].split("/")[1])
        return document


@pytest.fixture
def seen(cacheadmin: Cacheadmin) -> Seen:
    return Seen(cacheadmin)


def policy_of(cacheadmin: Cacheadmin, incident: Incident) -> Path:
    cache, homes = incident.shared.path, incident.shared.homes
    return cacheadmin.policy(
        cache,
        "prune: {keep: [six], budget: {max_size: 1GiB, min_free: 1%}}\n"
        "teams: {ml: {groups: [root]}}\nprotect: {enabled: true}\n"
        f"log: {{trail: {cacheadmin.folder}/log/trail.jsonl}}\n"
        "audit: {suppress: [{rule: uv-below-minimum, reason: known, expires: 2099-01-01}]}\n"
        f"venvs: {{include: ['{homes}/*/*']}}\n",
        complete=False,
    )


def test_what_every_command_prints_of_a_cache_at_work(
    seen: Seen, cacheadmin: Cacheadmin, incident: Incident
) -> None:
    (cacheadmin.folder / "log").mkdir()
    policy = policy_of(cacheadmin, incident)
    environment = next(iter(incident.environments.values()))
    for command in ("status", "preflight", "plan", "scan", "schemas", "audit", "verify", "dedupe"):
        seen(command, policy, *(("-n",) if command == "dedupe" else ()))
    for by in ("bucket", "duplicates"):
        seen("usage", policy, "--by", by)
    seen("audit", "--list-rules")
    seen("plan", "--list-rules")
    seen("observe", policy)
    seen("observe", policy, "--list")
    seen("simulate", policy, "--uv", "0.8.5")
    seen("explain", policy, "six")
    seen("explain", policy, str(environment))
    cacheadmin("pin", "add", policy, "idna", "--reason", "x", "--expires", "30d", code=0)
    seen("pin", "list", policy)
    cacheadmin("venv", "add", policy, environment, code=0)
    seen("venv", "list", policy)
    seen("venv", "discover", policy)
    seen("policy", "check", policy)
    seen("policy", "show", policy)
    seen("uv", "learn", uv_binary(NEWEST))
    seen("prune", policy, "-n")
    seen("evict", policy, "cowsay", "-n")
    assert seen("prune", policy)["outcome"] == "committed"
    seen("evict", policy, "cowsay")
    seen("protect", policy, "--check")
    seen("runs", "list", policy)
    seen("runs", "show", policy)
    # Each archive lost is a broken environment.
    for archive in list((incident.shared.path / "archive-v0").iterdir()):
        if not archive.is_symlink() and not archive.name.startswith("."):
            shutil.rmtree(archive)
    assert seen("doctor", policy)["findings"]
    seen("report", policy)
    assert seen.names == document_schemas().keys() - {"trail"}
    lines = (cacheadmin.folder / "log" / "trail.jsonl").read_text().splitlines()
    assert len(lines) >= 4
    for line in lines:
        check_document(json.loads(line), closed=True)


def test_what_is_printed_of_many_caches_and_of_one_that_is_not_there(
    seen: Seen, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    lay_out(open_folder / "site")
    here = cacheadmin.policy(open_folder / "site" / "cache", name="here")
    cacheadmin.policy(open_folder / "nowhere", name="gone")
    folder = cacheadmin.folder / "policies"
    assert seen("audit", folder)["caches"]
    standings = seen("status", "--all")["policies"]
    assert {row["policy"]["name"]: bool(row["problem"]) for row in standings} == {
        "here": False,
        "gone": True,
    }
    other = cacheadmin.policy(open_folder / "site" / "cache", name="other")
    assert len(seen("report", here, other)["caches"]) == 2


def test_what_is_printed_of_trials(seen: Seen, cacheadmin: Cacheadmin, open_folder: Path) -> None:
    lay_out(open_folder / "site")
    policy = cacheadmin.policy(open_folder / "site" / "cache")
    with opened_site(open_folder / "site") as site:
        site.put_on_trial()
        assert seen("status", policy)["trial"]["entries"] == 1
        site.use()
    assert seen("prune", policy)["trial"]["sprung"]
    assert seen("report", policy)["trial"]["came_back"] == 1


def test_a_document_that_lacks_a_key_or_has_another_type_is_refused(
    cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    lay_out(open_folder / "site")
    policy = cacheadmin.policy(open_folder / "site" / "cache")
    document = cacheadmin("plan", policy, *JSON).json
    validator = Draft202012Validator(document_schemas()["plan"])
    validator.validate(document)
    assert document["kept"]
    for wrong in (
        {key: value for key, value in document.items() if key != "kept"},
        {**document, "verdict": "perhaps"},
        {**document, "kept": [{**document["kept"][0], "bytes": "5"}]},
        {**document, "schema": "cacheadmin/prune/1"},
    ):
        with pytest.raises(ValidationError):
            validator.validate(wrong)
    # Keys to come are no error.
    validator.validate({**document, "more": 1})


def test_each_schema_has_an_id_of_its_own() -> None:
    schemas = {name: json.loads(text) for name, text in schema_files().items()}
    ids = [schema["$id"] for schema in schemas.values()]
    assert len(set(ids)) == len(ids)
    assert all(one.startswith("urn:cacheadmin:") for one in ids)
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
