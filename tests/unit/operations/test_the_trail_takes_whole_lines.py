"""Where an audit trail goes, and that lines of many writers never mix."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cacheadmin.errors import RolledBack
from cacheadmin.operations.account import OUTCOMES, Account
from cacheadmin.operations.trail import SYSTEM_TRAIL, append_to_trail, trail_file
from cacheadmin.policy.loaded import LoadedPolicy
from cacheadmin.policy.parser import parse_policy


def loaded(text: str, path: str) -> LoadedPolicy:
    return parse_policy(f"version: 1\nname: a\ncache: /c\n{text}".encode(), path)


def test_only_policies_of_the_system_have_a_trail_without_asking_for_one() -> None:
    system = "/etc/cacheadmin/policies.d/a.yaml"
    there = os.geteuid() == 0 and Path(SYSTEM_TRAIL).parent.is_dir()
    assert trail_file(loaded("", "/home/ana/a.yaml")) is None
    assert trail_file(loaded("", "/etc/cacheadmin-of-ana/a.yaml")) is None
    assert trail_file(loaded("", system)) == (SYSTEM_TRAIL if there else None)
    assert trail_file(loaded("log: {trail: off}", system)) is None
    assert trail_file(loaded("log: {trail: /t}", "/home/ana/a.yaml")) == "/t"


def test_lines_of_many_writers_do_not_mix(tmp_path: Path) -> None:
    trail = str(tmp_path / "trail.jsonl")
    with ThreadPoolExecutor(8) as writers:
        for number in range(200):
            writers.submit(append_to_trail, trail, {"n": number, "long": "x" * 5000})
    lines = Path(trail).read_text(encoding="utf-8").splitlines()
    assert sorted(json.loads(line)["n"] for line in lines) == list(range(200))


def test_a_line_that_a_full_disk_cut_short_spoils_no_other(tmp_path: Path) -> None:
    trail = tmp_path / "trail.jsonl"
    for number in (1, 2):
        append_to_trail(str(trail), {"n": number})
    trail.write_bytes(trail.read_bytes()[:-3])
    for number in (3, 4):
        append_to_trail(str(trail), {"n": number})
    assert trail.read_text(encoding="utf-8") == '{"n":1}\n{"n":\n{"n":3}\n{"n":4}\n'


def test_how_a_command_ended_is_told_by_its_error() -> None:
    account = Account("prune", "/etc/cacheadmin/policies.d/ml-team.yaml")
    account.outcome = "committed"
    account.end(RolledBack("2 links led nowhere"))
    assert (account.outcome, account.exit_code) == ("rolled_back", 6)
    assert account.error == "2 links led nowhere"
    assert account.policy == "ml-team"
    assert not account.succeeded
    for error in (KeyboardInterrupt(), ZeroDivisionError("x"), None):
        account.end(error)
        assert account.outcome in OUTCOMES


def test_a_reader_who_leaves_early_makes_no_failure_of_a_prune() -> None:
    account = Account("prune", None)
    account.outcome = "committed"
    account.end(BrokenPipeError())
    assert (account.outcome, account.exit_code, account.error) == ("committed", 0, "")
