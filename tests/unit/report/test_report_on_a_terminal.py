"""A report on a terminal: it fits, whatever names it shows, and says the verdict first."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

import pytest

from cacheadmin.evidence.facts import EnvironmentStatus
from cacheadmin.findings import Severity
from cacheadmin.overview.facts import Goal, Going, PastPrunes, ReleaseInUse
from cacheadmin.planner.plan import Verdict
from cacheadmin.report.overview.text import overview_text
from cacheadmin.report.terminal import Style, Terminal, columns_of
from cacheadmin.text.timestamps import rfc3339
from tests.support.facts import NOW
from tests.support.overviews import HOSTILE, MIB, an_overview, finding, known, record, size


def painted(text: str, style: Style) -> str:
    return f"\x1b[{style.value}]{text}\x1b[end]"


@pytest.mark.parametrize("width", [40, 60, 79, 84, 100, 120])
def test_every_line_fits_and_moves_no_cursor(width: int) -> None:
    for names in (HOSTILE, ("six", "numpy")):
        text = overview_text(an_overview(names), "host", Terminal(width))
        for line in text.split("\n"):
            assert columns_of(line) <= width, line
            assert line == line.rstrip()
            assert not any(unicodedata.category(one) in ("Cc", "Cf", "Cs") for one in line)


def test_without_utf8_every_character_is_ascii() -> None:
    text = overview_text(an_overview(HOSTILE), "hôst", Terminal(100, utf8=False))
    assert text.isascii()
    assert "#####" in text
    assert max(map(len, text.split("\n"))) <= 100


def test_colour_moves_nothing() -> None:
    overview = an_overview(HOSTILE)
    coloured = overview_text(overview, "host", Terminal(100, paint=painted))
    bare = re.sub(r"\x1b\[[a-z]+\]", "", coloured)
    assert bare == overview_text(overview, "host", Terminal(100))
    assert coloured != bare


def test_what_a_person_asks_is_in_the_first_lines() -> None:
    overview = an_overview(verdict=Verdict.SAFE, limits=(), going=Going(1, size(3 * MIB)))
    head = overview_text(overview, "host", Terminal(100)).split("\n")[:6]
    assert "● SAFE  a prune would remove 1 entry and free 3.0 MiB" in head
    assert any("3.0 MiB on disk" in line and "1,000 files" in line for line in head)


def test_a_refused_prune_is_not_said_to_free_anything() -> None:
    text = overview_text(an_overview(verdict=Verdict.REFUSED), "host", Terminal(100))
    assert "● REFUSED  a prune would change nothing now" in text


def test_budgets_findings_and_broken_environments_are_named() -> None:
    overview = an_overview(
        budget=(Goal("min_free", MIB, 5 * MIB, "bytes", at_least=True),),
        findings=(finding("/x", "it is wrong", severity=Severity.ERROR, fix="mend it"),),
    )
    text = overview_text(overview, "host", Terminal(100))
    assert "1.0 MiB free, 5.0 MiB wanted: too little" in text
    assert "Findings: 1 error" in text
    assert "a-rule: it is wrong" in text
    assert "fix: mend it" in text
    assert "4 links lead nowhere: /broken (ana)" in text


def test_every_command_names_the_policy_it_is_about() -> None:
    overview = replace(
        an_overview([f"name{number}" for number in range(9)]),
        releases=tuple(ReleaseInUse(f"0.8.{n}", ("ana",), None, NOW) for n in range(9)),
    )
    overview = replace(overview, loaded=replace(overview.loaded, path="/etc/ml.yaml"))
    text = overview_text(overview, "host", Terminal(100))
    commands = re.findall(r"`(cacheadmin \w+)([^`]*)`", text)
    assert {command for command, _ in commands} == {
        f"cacheadmin {word}" for word in ("preflight", "audit", "doctor", "schemas")
    }
    assert {policy for _, policy in commands} == {" /etc/ml.yaml"}


def test_a_range_of_releases_is_shown_whole() -> None:
    release = ReleaseInUse("0.10.10 to before 0.13.10", ("ana",), None, NOW)
    text = overview_text(an_overview(releases=(release,)), "host", Terminal(80))
    assert "0.10.10 to before 0.13.10  ana; last seen" in text


def test_the_line_of_sizes_begins_where_its_words_begin() -> None:
    sizes = [MIB] * 200 + [5 * MIB] * 200
    records = [record(399 - day, {}, {"six": size}) for day, size in enumerate(sizes)]
    lines = overview_text(an_overview(history=records), "host", Terminal(100)).split("\n")
    (line,) = (line for line in lines if line.startswith("over time"))
    assert re.search("▁{10,}█{10,}", line)
    assert f"+4.0 MiB since {rfc3339(records[0].taken_ns)[:10]}" in line


def test_holders_come_with_those_first_who_keep_most_alone() -> None:
    overview = an_overview(environments=(known("/little", MIB), known("/much", 9 * MIB)))
    text = overview_text(overview, "host", Terminal(100))
    assert text.index("/much") < text.index("/little")
    assert re.search(r"/much +ana +9\.0 MiB +9\.0 MiB +9\.0 MiB", text)


def test_all_is_well_only_when_nobody_has_to_do_anything() -> None:
    good = {
        "verdict": Verdict.SAFE,
        "unread": 0,
        "budget": (),
        "findings": (finding("/x", "good to know", severity=Severity.INFO),),
        "environments": (known("/p"),),
        "quarantine": PastPrunes("/q", ()),
    }
    assert an_overview(**good).is_well
    broken = known("/p", broken_links=1, status=EnvironmentStatus.BROKEN)
    for change in (
        {"verdict": Verdict.LIMITED},
        {"unread": 1},
        {"budget": (Goal("max_size", 2, 1, "bytes"),)},
        {"findings": (finding("/x", "bad"),)},
        {"environments": (broken,)},
    ):
        assert not an_overview(**(good | change)).is_well


def test_names_are_cut_to_columns_not_to_letters() -> None:
    terminal = Terminal()
    assert terminal.fitted("日本語", 5) == "日本…"
    assert terminal.fitted("日本語", 4) == "日… "
    assert terminal.fitted("ab", 4) == "ab  "
    assert terminal.fitted_path("/home/ana/proj", 7) == "…a/proj"
    assert Terminal(utf8=False).fitted("añb", 8) == "a\\xf1b  "


def test_bars_and_sparklines_show_what_is_there() -> None:
    terminal, ascii_only = Terminal(), Terminal(utf8=False)
    assert terminal.bar(0.5, 4) == "██  "
    assert terminal.bar(0.0001, 4).strip() == "▏"
    assert terminal.bar(7.0, 4) == "████"
    assert ascii_only.bar(0.5, 4) == "##  "
    assert terminal.sparkline([1, 2, 8]) == "▁▂█"
    assert terminal.sparkline([5, 5]) == "▄▄"
    assert len(ascii_only.sparkline([1, 2, 3])) == 3
