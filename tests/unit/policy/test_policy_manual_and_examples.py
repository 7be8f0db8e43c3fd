"""Every policy key is documented, and every example policy is valid."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from cacheadmin.policy.model import (
    CachedEnvironmentRule,
    DiscoverRoot,
    Policy,
    RuleSetting,
    Suppression,
    Team,
)
from cacheadmin.policy.parser import parse_policy
from cacheadmin.policy.quantities import exact_size, parse_size
from cacheadmin.policy.starter import starter_policy
from tests.support.uv_releases import REPOSITORY

PAGE = REPOSITORY / "man" / "cacheadmin-policy.5"
EXAMPLES = sorted((REPOSITORY / "policies").glob("*.yaml"))


def keys(model: type[BaseModel] = Policy, prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield from keys(type(field.default), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
    if model is Policy:
        yield from keys(CachedEnvironmentRule, "prune.environments.")
        yield from keys(DiscoverRoot, "venvs.discover[].")
        yield from keys(Team, "teams.NAME.")
        yield from keys(RuleSetting, "audit.RULE.")
        yield from keys(Suppression, "audit.suppress[].")


@pytest.mark.parametrize("key", sorted(set(keys())))
def test_the_manual_page_names_every_key(key: str) -> None:
    page = PAGE.read_text(encoding="utf-8").replace("\\-", "-")
    assert re.search(rf"^\\fB{re.escape(key)}\\fR \(", page, re.MULTILINE)


def test_the_starter_names_every_key_and_is_valid_with_all_its_defaults() -> None:
    text = starter_policy("shared", "/srv/uv")
    for key in keys():
        if not any(word in key for word in ("[]", "NAME", "RULE")):
            assert re.search(rf"^#? *{key.rpartition('.')[2]}:", text, re.MULTILINE), key
    uncommented = re.sub(r"^#( *[a-z_]+:)", r"\1", text, flags=re.MULTILINE)
    loaded = parse_policy(uncommented.encode(), "starter.yaml")
    assert loaded.policy == Policy(version=1, name="shared", cache="/srv/uv")
    assert "memory: 512MiB" in text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0"),
        (1023, "1023"),
        (1024, "1KiB"),
        (1536, "1536"),
        (2**29, "512MiB"),
        (10**6, "1000000"),
    ],
)
def test_a_size_is_written_to_the_byte(size: int, text: str) -> None:
    assert exact_size(size) == text
    assert parse_size(text) == size


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_example_is_valid_and_named_like_its_file(path) -> None:
    loaded = parse_policy(path.read_bytes(), str(path))
    assert loaded.policy.name == path.stem
