"""The dashboard that is shipped: each of its queries finds something in metrics really written."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cacheadmin.hosts.folder import HostsFolder
from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.operations.metrics import HELPS
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.fleets import observation
from tests.support.shared_cache import SharedCache
from tests.support.uv_releases import NEWEST, REPOSITORY

DASHBOARD = REPOSITORY / "docs" / "operations" / "grafana" / "cacheadmin.json"

INSTANCE = 'instance="files1"'


def dashboard() -> dict[str, Any]:
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


def expressions() -> Iterator[tuple[str, str]]:
    """Yield title and query of each panel, with every instance and policy chosen."""
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield panel["title"], re.sub(r"\$(instance|policy)", ".*", target["expr"])


@pytest.fixture
def written(cacheadmin: Cacheadmin, shared: SharedCache, tmp_path: Path) -> str:
    """The metrics of a prune, a preflight and an audit of a cache that has a finding."""
    shared.environment("proj", NEWEST, "six==1.16.0")
    text = f"venvs: {{include: ['{shared.homes}/*/*']}}\nhosts: {{expect: [node001, silent]}}\n"
    policy = cacheadmin.policy(shared.path, text)
    with open_cache(str(shared.path)) as cache:
        told = observation(1, ["archive-v0/any"], 3)
        HostsFolder(f"{shared.path}.cacheadmin/hosts", cache).write(told)
    shared.path.chmod(0o777)
    text = ""
    for command in ("prune", "preflight", "audit"):
        file = tmp_path / f"{command}.prom"
        cacheadmin(command, policy, "--metrics", file)
        text += file.read_text(encoding="utf-8")
    return text


def test_every_metric_is_shown_and_every_one_shown_is_written(written: str) -> None:
    asked = {name for _, query in expressions() for name in re.findall(r"cacheadmin_\w+", query)}
    assert asked <= set(re.findall(r"^(cacheadmin_\w+)", written, re.MULTILINE))
    # A new metric gets its panel; of these other panels tell.
    elsewhere = {
        "cacheadmin_last_run_timestamp_seconds",
        "cacheadmin_last_run_exit_code",
        "cacheadmin_removed_entries",
        "cacheadmin_quarantine_runs",
    }
    assert HELPS.keys() - elsewhere <= asked
    # Variables are filled from what is there.
    for variable in dashboard()["templating"]["list"][1:]:
        assert "label_values(cacheadmin_info" in variable["query"]["query"]


def test_panels_neither_overlap_nor_share_an_id() -> None:
    seen: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len(set(ids))
    for panel in dashboard()["panels"]:
        where = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(where["x"], where["x"] + where["w"])
            for y in range(where["y"], where["y"] + where["h"])
        }
        assert not cells & seen, panel["title"]
        assert max(x for x, _ in cells) < 24
        seen |= cells


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs promtool, of the package prometheus"
)
def test_every_query_finds_something_in_the_metrics_that_are_written(
    written: str, tmp_path: Path
) -> None:
    series = [
        {
            "series": f"{sample.name}{{{_labels(sample.labels)}}}",
            "values": f"{sample.value}x10",
        }
        for family in text_string_to_metric_families(written)
        for sample in family.samples
    ]
    tests = [
        {
            # Some sample, whatever it says.
            "expr": f"clamp_max(count({query}), 1)",
            "eval_time": "5m",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for _, query in expressions()
    ]
    assert len(tests) > 15
    wrong = {**tests[0], "expr": 'clamp_max(count(cacheadmin_links{policy="other"}), 1)'}
    for promql, code in ((tests, 0), ([wrong], 1)):
        content = {
            "rule_files": [],
            "evaluation_interval": "1m",
            "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": promql}],
        }
        file = tmp_path / "test.yml"
        file.write_text(json.dumps(content), encoding="utf-8")
        done = subprocess.run(
            ["promtool", "test", "rules", file], check=False, capture_output=True, text=True
        )
        assert done.returncode == code, (done.stdout, done.stderr)


def _labels(labels: dict[str, str]) -> str:
    return ", ".join([INSTANCE, *(f"{key}={json.dumps(value)}" for key, value in labels.items())])
