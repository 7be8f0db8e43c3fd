"""Whatever a command reports can be had in every format that its --help names."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from cacheadmin.report.formats import FORMATS, FindingsReport, PageReport, Report, formats_of
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.incident import Incident
from tests.support.uv_releases import NEWEST, uv_binary

ROWS = ("jsonl", "csv", "markdown")
HOSTILE = "a|b\x1b[31m\n=cmd"


class Printed:
    """Runs a command once a format, and checks that each is what its name says.

    ``every``: each command in each format; else as CSV and as Markdown by turns.
    """

    def __init__(self, cacheadmin: Cacheadmin, *, every: bool) -> None:
        self.cacheadmin = cacheadmin
        self.every = every
        self.asked = 0

    def __call__(self, *words: str | Path, also: tuple[str, ...] = ()) -> list[Any]:
        """Return the rows; all formats must have the same number of them."""
        self.asked += 1
        lines = self.run(words, "jsonl").splitlines()
        rows = [json.loads(line) for line in lines]
        if self.every or self.asked % 2:
            table = list(csv.reader(io.StringIO(self.run(words, "csv"))))
            assert len({len(row) for row in table}) == 1, words
            assert len(table) == len(rows) + 1, words
        if (self.every or not self.asked % 2) and "markdown" not in also:
            markdown = self.run(words, "markdown").splitlines()
            assert len(markdown) == (len(rows) + 2 if rows else 1), words
        for name in also:
            assert self.run(words, name), (words, name)
        return rows

    def run(self, words: tuple[str | Path, ...], name: str) -> str:
        result = self.cacheadmin(*words, "--format", name)
        assert "unexpected error" not in result.stderr, words
        assert "\x1b" not in result.stdout, words
        return result.stdout


@pytest.fixture(params=[pytest.param(True, marks=pytest.mark.long, id="each"), "by-turns"])
def printed(cacheadmin: Cacheadmin, request: pytest.FixtureRequest) -> Printed:
    return Printed(cacheadmin, every=request.param is True)


def test_every_command_that_lists_something_prints_its_rows(
    printed: Printed, cacheadmin: Cacheadmin, incident: Incident
) -> None:
    cache, homes = incident.shared.path, incident.shared.homes
    policy = cacheadmin.policy(
        cache,
        "prune: {keep: [six]}\nprotect: {enabled: true}\n"
        f"venvs: {{include: ['{homes}/*/*']}}\n",
        complete=False,
    )
    environment = next(iter(incident.environments.values()))
    odd = homes / "ana" / HOSTILE
    shutil.copytree(environment, odd, symlinks=True)
    assert any(row["path"] == os.fspath(odd) for row in printed("scan", policy))
    (status,) = printed("status", policy)
    assert status["policy"]["name"] == "test" and status["verdict"] == "limited"
    assert {row["status"] for row in printed("preflight", policy)} >= {"pass", "warn"}
    decisions = printed("plan", policy)
    assert {row["decision"] for row in decisions} == {"remove", "keep"}
    again = printed("prune", policy, "-n")
    assert [(row["path"], row["decision"]) for row in again] == [
        (row["path"], row["decision"]) for row in decisions
    ]
    assert {row["effect"] for row in printed("simulate", policy, "--uv", "0.8.5")} >= {"deletes"}
    assert {row["decision"] for row in printed("evict", policy, "cowsay", "-n")} <= {
        "remove",
        "keep",
    }
    assert {row["package"] for row in printed("explain", policy, "six")} == {"six"}
    assert printed("explain", policy, environment)[0]["used_by"][0] == os.fspath(environment)
    assert "archive-v0" in {row["name"] for row in printed("schemas", policy)}
    assert {row["kind"] for row in printed("usage", policy)} >= {"bucket"}
    for more in (("usage", policy, "--by", "duplicates"), ("dedupe", policy, "-n")):
        assert all(row["bytes"] > 0 for row in printed(*more))
    assert {row["severity"] for row in printed("audit", policy, also=("markdown", "sarif"))}
    assert printed("report", policy, also=("html",))
    printed("protect", policy, "--check")
    (host,) = printed("observe", policy)
    assert [row["host"] for row in printed("observe", policy, "--list")] == [host["host"]]
    cacheadmin("pin", "add", policy, "idna", "--reason", HOSTILE, code=0)
    assert [row["target"] for row in printed("pin", "list", policy)] == ["idna"]
    assert printed("venv", "list", policy)
    assert {row["path"] for row in printed("venv", "discover", policy)} >= {os.fspath(odd)}
    assert [row["name"] for row in printed("policy", "check", policy)] == ["test"]
    assert "cache" in {row["key"] for row in printed("policy", "show", policy)}
    assert printed("uv", "learn", uv_binary(NEWEST))[0]["uv"] == NEWEST
    assert "link-mode" in {row["id"] for row in printed("audit", "--list-rules")}
    assert "archive.linked" in {row["id"] for row in printed("plan", "--list-rules")}
    done = [json.loads(line) for line in printed.run(("prune", policy), "jsonl").splitlines()]
    assert {row["path"] for row in done if row["decision"] == "remove"}
    (run,) = printed("runs", "list", policy)
    assert run["moved"] == len(printed("runs", "show", policy))


def test_what_is_broken_is_a_row_a_finding_and_a_place_in_sarif(
    printed: Printed, cacheadmin: Cacheadmin, incident: Incident
) -> None:
    policy = cacheadmin.policy(
        incident.shared.path, f"venvs: {{include: ['{incident.shared.homes}/*/*']}}\n"
    )
    archives = [one for one in (incident.shared.path / "archive-v0").iterdir() if one.is_dir()]
    record = next(archives[0].glob("*.dist-info/RECORD"))
    record.unlink()
    assert "record-missing" in {row["rule"] for row in printed("verify", policy, also=("sarif",))}
    for archive in archives:
        shutil.rmtree(archive)
    rows = printed("doctor", policy, also=("sarif",))
    log = json.loads(printed.run(("doctor", policy), "sarif"))
    (run,) = log["runs"]
    assert [one["ruleId"] for one in run["results"]] == [row["rule"] for row in rows]
    rules = [one["id"] for one in run["tool"]["driver"]["rules"]]
    assert all(rules[one["ruleIndex"]] == one["ruleId"] for one in run["results"])


def test_a_format_that_a_report_does_not_have_is_refused_in_one_line(
    cacheadmin: Cacheadmin,
) -> None:
    said = cacheadmin("scan", "--format", "sarif", code=2).stderr
    assert "'sarif' is not one of 'table', 'json', 'jsonl', 'csv', 'markdown'" in said
    said = cacheadmin("audit", "--list-rules", "--format", "sarif", code=2).stderr
    assert "not printed as sarif, but as one of: table, json, jsonl, csv, markdown" in said


def test_each_format_is_offered_where_it_can_print() -> None:
    assert formats_of(Report) == ("table", "json", *ROWS)
    assert formats_of(FindingsReport) == ("table", "json", *ROWS, "sarif")
    assert formats_of(PageReport) == ("table", "json", *ROWS, "html")
    assert set(FORMATS) == {"table", "json", *ROWS, "sarif", "html"}
