"""What `hosts.expect` may hold, and which hosts that means."""

from __future__ import annotations

from pathlib import Path

import pytest

from cacheadmin.evidence.sources.observed_hosts import is_named
from cacheadmin.policy.host_names import expected_hosts, name_problem, named_hosts


def test_a_range_keeps_the_width_of_its_numbers() -> None:
    assert named_hosts("node[08-10].hpc") == ("node08.hpc", "node09.hpc", "node10.hpc")
    assert named_hosts("login[1-2]") == ("login1", "login2")
    assert named_hosts("build") == ("build",)


@pytest.mark.parametrize("text", ["a b", "", "../x", "a/b", "n[1-2", "n[a-b]", "n[1-2][3-4]", "-x"])
def test_what_is_no_name(text: str) -> None:
    assert name_problem(text)


def test_a_file_has_a_name_or_range_a_line(tmp_path: Path) -> None:
    listed = tmp_path / "hosts"
    listed.write_text("# the farm\nnode[1-2]\n\nlogin # one more\nno host\n@/etc/passwd\n")
    names, problems = expected_hosts((f"@{listed}", "node2", f"@{tmp_path}/absent"))
    assert names == ("node1", "node2", "login")
    assert [problem.partition(":")[0] for problem in problems] == [
        f"{listed}, line 5",
        f"{listed}, line 6",
        f"{tmp_path}/absent, which hosts.expect names, can't be read",
    ]


def test_a_file_that_names_nobody_is_a_problem(tmp_path: Path) -> None:
    listed = tmp_path / "hosts"
    listed.write_text("# nobody yet\n")
    assert expected_hosts((f"@{listed}",)) == ((), (f"@{listed} in hosts.expect names no host",))
    assert expected_hosts(()) == ((), ())


def test_a_file_that_others_could_write_is_a_problem_and_still_read(tmp_path: Path) -> None:
    listed = tmp_path / "hosts"
    listed.write_text("node1\n")
    listed.chmod(0o664)
    problem = f"{listed}, which hosts.expect names, could be written by others"
    assert expected_hosts((f"@{listed}",)) == (("node1",), (problem,))
    listed.chmod(0o644)
    assert expected_hosts((f"@{listed}",)) == (("node1",), ())


def test_a_short_name_stands_for_a_long_one_and_never_the_other_way() -> None:
    assert is_named("node1.site.org", "node1")
    assert is_named("node1.site.org", "NODE1.site.org")
    assert not is_named("node1", "node1.site.org")
    assert not is_named("node10", "node1")
