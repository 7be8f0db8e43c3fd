"""``cacheadmin audit`` as it is called: exit codes, silence, several caches, policies that fail."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import tree_snapshot
from tests.support.users import User

KEYS = {"schema", "version", "host", "generated_at", "policy", "cache"}
RULE = ("--rule", "unknown-bucket")


def make_cache(path: Path, *buckets: str) -> Path:
    """Make a cache with an empty bucket of each name."""
    for name in ("archive-v0", *buckets):
        (path / name).mkdir(parents=True)
    (path / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    return path


@pytest.fixture
def odd(open_folder: Path) -> Path:
    """A cache with a bucket nobody knows: one warning of one rule."""
    return make_cache(open_folder / "odd", "zork-v9")


@pytest.fixture
def sound(open_folder: Path) -> Path:
    return make_cache(open_folder / "sound")


def test_what_fails_an_audit_is_said_on_the_command_line(cacheadmin: Cacheadmin, odd: Path) -> None:
    policy = cacheadmin.policy(odd)
    cacheadmin("audit", policy, *RULE, code=0)
    cacheadmin("audit", policy, *RULE, "--fail-on", "warning", code=8)
    raised = cacheadmin.policy(odd, "audit: {unknown-bucket: error}\n")
    cacheadmin("audit", raised, *RULE, code=8)
    result = cacheadmin("audit", raised, *RULE, "--fail-on", "never", code=0)
    assert result.stdout.splitlines()[0] == "1 error"
    assert f"({odd}/zork-v9)" in result.stdout
    off = cacheadmin.policy(odd, "audit: {unknown-bucket: off}\n")
    silent = cacheadmin("audit", off, *RULE, code=0)
    assert silent.stdout == "no findings\n"
    assert f"unknown-bucket is off in {off}: it was not checked" in silent.stderr


def test_cron_hears_nothing_unless_the_audit_fails(cacheadmin: Cacheadmin, odd: Path) -> None:
    policy = cacheadmin.policy(odd)
    quiet = cacheadmin("-q", "audit", policy, *RULE, code=0)
    assert (quiet.stdout, quiet.stderr) == ("", "")
    loud = cacheadmin("-q", "audit", policy, *RULE, "--fail-on", "warning", code=8)
    assert "zork-v9" in loud.stdout
    # Who asks for a document gets a whole one.
    assert cacheadmin("-q", "audit", policy, *RULE, "--format", "json", code=0).json["findings"]


def test_one_cache_as_json(cacheadmin: Cacheadmin, odd: Path) -> None:
    text = "team: ml\naudit: {suppress: [{rule: unknown-bucket, reason: r, expires: 2999-01-01}]}\n"
    before = tree_snapshot(odd)
    document = cacheadmin("audit", cacheadmin.policy(odd), *RULE, "--format", "json", code=0).json
    assert set(document) == {*KEYS, "findings", "suppressed", "counts", "teams", "off", "gaps"}
    assert document["schema"] == "cacheadmin/audit/1"
    assert document["cache"]["path"] == str(odd)
    (finding,) = document["findings"]
    assert finding["rule"] == "unknown-bucket"
    assert finding["severity"] == "warning"
    assert finding["subject"] == f"{odd}/zork-v9"
    hidden = cacheadmin("audit", cacheadmin.policy(odd, text), *RULE, "--format", "json").json
    assert hidden["findings"] == []
    (row,) = hidden["suppressed"]
    assert (row["reason"], row["expires"], row["team"]) == ("r", "2999-01-01", "ml")
    assert tree_snapshot(odd) == before


def test_suppressions_that_expired_or_hide_nothing_are_found(
    cacheadmin: Cacheadmin, odd: Path
) -> None:
    text = (
        "audit:\n  suppress:\n"
        "  - {rule: unknown-bucket, reason: trial, expires: 2020-01-01}\n"
        "  - {rule: unknown-bucket, subject: /elsewhere/*, reason: wrong, expires: 2999-01-01}\n"
    )
    policy = cacheadmin.policy(odd, text)
    findings = cacheadmin("audit", policy, "--format", "json").json["findings"]
    found = {finding["rule"]: finding for finding in findings}
    assert found["unknown-bucket"]["subject"] == f"{odd}/zork-v9"
    assert found["suppression-expired"]["severity"] == "warning"
    assert "(trial)" in found["suppression-expired"]["detail"]
    assert found["suppression-unused"]["severity"] == "info"
    assert "/elsewhere/* hides nothing (wrong)" in found["suppression-unused"]["detail"]
    assert found["suppression-unused"]["subject"] == str(policy)
    # Of one rule alone nobody can say that a suppression hides nothing.
    only = cacheadmin("audit", policy, "--rule", "access-times", "--format", "json").json
    assert not [f for f in only["findings"] if f["rule"].startswith("suppression")]


def test_a_hundred_policies_are_audited_whatever_one_of_them_is(
    cacheadmin: Cacheadmin, odd: Path, sound: Path, open_folder: Path
) -> None:
    cacheadmin.policy(odd, name="odd")
    cacheadmin.policy(sound, name="sound")
    cacheadmin.policy(open_folder / "gone", name="gone")
    folder = cacheadmin.folder / "policies"
    (folder / "broken.yaml").write_text("version: 1\nname: [\n")
    (folder / "writable.yaml").write_text(f"version: 1\nname: w\ncache: {sound}\n")
    (folder / "writable.yaml").chmod(0o666)
    (folder / ".hidden.yaml").write_text("")
    (folder / "notes.txt").write_text("")
    document = cacheadmin("audit", folder, *RULE, "--format", "json", code=8).json
    assert (document["policy"], document["cache"]) == (None, None)
    caches = {Path(c["policy"]["path"]).stem: c for c in document["caches"]}
    assert list(caches) == ["broken", "gone", "odd", "sound", "writable"]
    for name in ("broken", "gone", "writable"):
        (finding,) = caches[name]["findings"]
        assert (finding["rule"], finding["severity"]) == ("not-audited", "error")
        assert finding["subject"] == str(folder / f"{name}.yaml")
        assert "\n" not in finding["detail"]
        assert caches[name]["cache"] is None
    assert "can be written by others" in caches["writable"]["findings"][0]["detail"]
    assert caches["odd"]["counts"] == {"error": 0, "warning": 1, "info": 0, "suppressed": 0}
    assert caches["sound"]["findings"] == []
    assert caches["sound"]["cache"]["path"] == str(sound)
    assert len(document["findings"]) == 4
    assert document["counts"]["error"] == 3

    table = cacheadmin("audit", folder, *RULE, code=8).stdout
    assert f"sound: {sound}\n  no findings" in table
    assert table.splitlines()[-1] == "3 errors, 1 warning in 5 caches"
    rows = cacheadmin("audit", folder, *RULE, "--format", "csv", code=8).stdout
    assert [row["rule"] for row in csv.DictReader(io.StringIO(rows))].count("not-audited") == 3
    log = cacheadmin("audit", folder, *RULE, "--format", "sarif", code=8).json
    assert len(log["runs"][0]["results"]) == 4


def test_several_names_are_audited_once_each_and_one_that_is_nowhere_is_an_error(
    cacheadmin: Cacheadmin, odd: Path, sound: Path
) -> None:
    cacheadmin.policy(odd, name="odd")
    path = cacheadmin.policy(sound, name="sound")
    document = cacheadmin("audit", "odd", "sound", path, "nobody", *RULE, "--format", "json").json
    names = [cache["policy"]["name"] for cache in document["caches"]]
    assert names == ["odd", "sound", None]
    (finding,) = document["caches"][2]["findings"]
    assert "no policy is named nobody" in finding["detail"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("version: 1\nname: [\n", 78),
        ("version: 1\nname: a\ncache: /c\naudit: {nonsense: off}\n", 78),
        ("version: 1\nname: a\ncache: /nowhere/at/all\n", 66),
    ],
)
def test_one_policy_alone_fails_as_in_every_other_command(
    cacheadmin: Cacheadmin, open_folder: Path, text: str, code: int
) -> None:
    policy = open_folder / "p.yaml"
    policy.write_text(text)
    result = cacheadmin("audit", policy, code=code)
    assert result.stdout == ""
    assert result.stderr.startswith("cacheadmin: ")


def test_policy_check_knows_the_rules_too(cacheadmin: Cacheadmin, odd: Path) -> None:
    policy = cacheadmin.policy(odd, "audit:\n  unknown-bukket: off\n")
    result = cacheadmin("policy", "check", policy, code=78)
    assert f"{policy}:6:3: unknown rule audit.unknown-bukket: did you mean" in result.stderr
    empty = cacheadmin.folder / "empty"
    empty.mkdir()
    assert "no policy (*.yaml) lies in" in cacheadmin("audit", empty, code=66).stderr


def test_every_rule_is_listed_with_its_reason_and_an_unknown_one_is_wrong_usage(
    cacheadmin: Cacheadmin,
) -> None:
    rules = cacheadmin("audit", "--list-rules", "--format", "json", code=0).json["rules"]
    text = cacheadmin("audit", "--list-rules", code=0).stdout
    assert len({rule["id"] for rule in rules}) == len(rules)
    for rule in rules:
        assert f"{rule['id']} ({rule['severity']}): {rule['title']}\n" in text
        assert rule["rationale"]
        assert rule["fix"]
        for threshold in rule["thresholds"]:
            assert f"{threshold['name']}: {threshold['default']}" in text
    wrong = cacheadmin("audit", "--rule", "unkown-bucket", code=2)
    assert "did you mean unknown-bucket?" in wrong.stderr


@pytest.mark.root
def test_findings_go_to_the_team_of_their_owner(
    cacheadmin: Cacheadmin, odd: Path, three_users: list[User]
) -> None:
    ana = three_users[0]
    written = odd / "zork-v9" / "file"
    written.touch()
    os.chown(written, ana.uid, ana.gid)
    os.chown(written.parent, ana.uid, ana.gid)
    text = f"teams: {{zorkers: {{paths: [{json.dumps(str(odd / 'zork-*'))}]}}}}\n"
    policy = cacheadmin.policy(odd, text)
    document = cacheadmin("audit", policy, *RULE, "--format", "json", code=0).json
    assert document["teams"] == [
        {
            "team": "zorkers",
            "owners": [f"uid {ana.uid}"],
            "error": 0,
            "warning": 1,
            "info": 0,
        }
    ]


def test_names_that_users_chose_are_escaped(cacheadmin: Cacheadmin, open_folder: Path) -> None:
    cache = make_cache(open_folder / "odd\x1b[31m", "zork-v9")
    policy = cacheadmin.policy(cache)
    for form in ("table", "markdown", "csv", "json", "sarif"):
        shown = cacheadmin("--color", "never", "audit", policy, *RULE, "--format", form, code=0)
        assert "\x1b" not in shown.stdout, form
        assert "zork" in shown.stdout, form
