"""The JSON Schema of policies refuses what `policy check` refuses, and nothing else."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from cacheadmin.audit.schema import policy_schema
from cacheadmin.audit.settings import settings_of
from cacheadmin.cli.schema_files import schema_files
from cacheadmin.errors import PolicyInvalid
from cacheadmin.policy.parser import parse_policy
from cacheadmin.policy.positions import read_yaml
from cacheadmin.policy.starter import starter_policy
from tests.support.uv_releases import REPOSITORY

GOOD = "version: 1\nname: ml\ncache: /srv/uv\n"


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = policy_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def accepted_by_check(text: str) -> bool:
    try:
        settings_of(parse_policy(text.encode(), "p.yaml"))
    except PolicyInvalid:
        return False
    return True


@pytest.mark.parametrize(
    "added",
    [
        "audit: {not-a-rule: off}",
        "audit: {lock-file: {nothing: 5}}",
        "audit: {lock-file: loud}",
        "audit: {cache-size: {max_files: many}}",
        "audit: {suppress: [{rule: not-a-rule, reason: x, expires: 2027-01-01}]}",
        "audit: {suppress: [{rule: suppression-unused, reason: x, expires: 2027-01-01}]}",
        "hosts: {expect: node1}",
        "scan: {executor: dask}",
        "scan: {executor: dask, address: null}",
        "scan: {address: 'tcp://127.0.0.1:8786'}",
        "scan: {workers: 0}",
        "aliases: [relative]",
        "quarantine: {path: /srv/../x}",
        "quarantine: {path: /srv/./x}",
        "uv: {keep: [latest]}",
        "lock: {timeout: soon}",
        "prune: {budget: {max_size: lots}}",
        "prune: {budget: {min_free: 110%}}",
        "prune: {budget: 200GiB}",
        "prune: {environments: sometimes}",
        "unknown: 1",
        "venvs:",
        "protect: {ahead: 21}",
    ],
)
def test_it_refuses_what_check_refuses(validator: Draft202012Validator, added: str) -> None:
    text = f"{GOOD}{added}\n"
    assert not accepted_by_check(text)
    assert not validator.is_valid(read_yaml(text, "p").value)


@pytest.mark.parametrize(
    "added",
    [
        "audit: {lock-file: off}",
        "audit: {lock-file: false}",
        "audit: {lock-file: {severity: warning}}",
        "audit: {cache-size: {max_files: 2000000}}",
        "audit: {suppress: [{rule: lock-file, reason: x, expires: 2027-01-01}]}",
        "quarantine: {path: /srv/a..b/.hidden/...}",
        "prune: {budget: off}",
        "prune: {budget: {min_free: 100%, max_size: 200 GiB}}",
        "prune: {unused: {after: off}}",
        "prune: {environments: never}",
        "scan: {executor: threads}",
        "scan: {executor: processes, workers: 16}",
        "lock: {timeout: 1d 12h}",
    ],
)
def test_it_accepts_what_check_accepts(validator: Draft202012Validator, added: str) -> None:
    text = f"{GOOD}{added}\n"
    assert accepted_by_check(text)
    assert list(validator.iter_errors(read_yaml(text, "p").value)) == []


def test_it_accepts_the_starter_and_the_examples(validator: Draft202012Validator) -> None:
    texts = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "policies").glob("*.yaml")]
    for text in (starter_policy("ml", "/srv/uv"), *texts):
        assert list(validator.iter_errors(read_yaml(text, "p").value)) == []


def test_the_file_is_the_one_that_the_program_makes_now() -> None:
    for name, text in schema_files().items():
        path = REPOSITORY / "docs" / "schemas" / name
        assert path.read_text(encoding="utf-8") == text, f"{name} is out of date: `make schemas`"


def test_it_has_an_id_that_never_changes() -> None:
    assert policy_schema()["$id"] == "urn:cacheadmin:policy:1"
