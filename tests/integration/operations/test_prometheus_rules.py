"""The alert rules that are shipped: they fire when they should, on metrics that are written."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache
from tests.support.uv_releases import NEWEST, REPOSITORY

RULES = REPOSITORY / "docs" / "operations" / "prometheus" / "cacheadmin.rules.yml"
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs promtool, of the package prometheus"
)

_LABELS = 'command="prune", policy="ml-team", cache="/srv/uv-cache", instance="files1"'


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\bcacheadmin_[a-z_]+", text))


def test_every_metric_in_the_rules_is_one_that_is_written(
    cacheadmin: Cacheadmin, shared: SharedCache, tmp_path: Path
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    policy = cacheadmin.policy(shared.path, f"venvs: {{include: ['{shared.homes}/*/*']}}\n")
    written = ""
    for command in ("prune", "audit"):
        file = tmp_path / f"{command}.prom"
        cacheadmin(command, policy, "--metrics", file)
        written += file.read_text(encoding="utf-8")
    expressions = "\n".join(
        line for line in RULES.read_text(encoding="utf-8").splitlines() if "expr:" in line
    )
    assert names_in(expressions)
    assert names_in(expressions) <= names_in(written)
    # Labels that the rules ask for are those that are written.
    for label in ('outcome="rolled_back"', 'outcome="refused"', 'command="prune"'):
        assert label in written


@needs_promtool
def test_promtool_accepts_the_rules() -> None:
    subprocess.run(["promtool", "check", "rules", RULES], check=True, capture_output=True)


@needs_promtool
@pytest.mark.parametrize(
    ("alert", "series", "bad", "well", "after"),
    [
        (
            "CacheadminPruneOverdue",
            f"cacheadmin_last_success_timestamp_seconds{{{_LABELS}}}",
            "0x5000",
            "0+60x6000",
            "75h",
        ),
        (
            "CacheadminPruneRolledBack",
            f'cacheadmin_last_run_outcome{{outcome="rolled_back", {_LABELS}}}',
            "1x10",
            "0x10",
            "5m",
        ),
        (
            "CacheadminRefused",
            f'cacheadmin_last_run_outcome{{outcome="refused", {_LABELS}}}',
            "1x2000",
            "0x2000",
            "25h",
        ),
        ("CacheadminBrokenLinks", f"cacheadmin_broken_links{{{_LABELS}}}", "3x10", "0x10", "5m"),
        (
            "CacheadminAuditErrors",
            f'cacheadmin_findings{{rule="lock-file", severity="error", {_LABELS}}}',
            "1x10",
            "0x10",
            "5m",
        ),
        ("CacheadminFailedEntries", f"cacheadmin_failed_entries{{{_LABELS}}}", "2x9", "0x9", "5m"),
    ],
)
def test_each_alert_fires_when_it_should_and_only_then(
    tmp_path: Path, alert: str, series: str, bad: str, well: str, after: str
) -> None:
    for values, firing in ((bad, True), (well, False)):
        test = {
            "rule_files": [str(RULES)],
            "evaluation_interval": "1m",
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [{"series": series, "values": values}],
                    "promql_expr_test": [
                        {
                            "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
                            "eval_time": after,
                            "exp_samples": [{"labels": "{}", "value": 1}] if firing else [],
                        }
                    ],
                }
            ],
        }
        file = tmp_path / "test.yml"
        file.write_text(json.dumps(test), encoding="utf-8")
        done = subprocess.run(
            ["promtool", "test", "rules", file], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, (values, done.stdout, done.stderr)
