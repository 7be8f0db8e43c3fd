"""cacheadmin(1) knows every command and every option that the program has."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cacheadmin.errors import ExitCode
from cacheadmin.planner.reasons import REASONS, Reason
from cacheadmin.report.manual_rules import with_plan_rules
from tests.support.uv_releases import REPOSITORY

MANUAL = REPOSITORY / "man" / "cacheadmin.1"


def plain(text: str) -> str:
    """Return a page's words without groff's escapes."""
    return re.sub(r"\\f.|\\(?=[-. ])", "", text)


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command of the program with the words that call it."""
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*words, name))


@pytest.fixture(scope="module")
def program() -> dict[tuple[str, ...], Any]:
    from cacheadmin.cli.program import build_program

    return dict(commands(build_program(whole=True)))


def sections() -> dict[str, str]:
    """Return the text of each section and subsection by its heading's words."""
    found: dict[str, str] = {}
    heading = ""
    for line in MANUAL.read_text(encoding="utf-8").splitlines():
        if line.startswith((".SH ", ".SS ")):
            heading = re.sub(r"\\f.|[\[\]]", "", line[4:]).strip().strip('"')
        found[heading] = found.get(heading, "") + plain(line) + "\n"
    return found


def test_every_command_has_its_section(program: dict[tuple[str, ...], Any]) -> None:
    headings = set(sections())
    for words, command in program.items():
        if hasattr(command, "commands"):
            continue
        call = " ".join(("cacheadmin", *words))
        assert any(heading == call or heading.startswith(f"{call} ") for heading in headings), call


def test_every_section_is_a_command_that_exists(program: dict[tuple[str, ...], Any]) -> None:
    calls = {" ".join(("cacheadmin", *words)) for words in program}
    for heading in sections():
        if heading.startswith("cacheadmin "):
            words = [word for word in heading.split() if not word.isupper()]
            assert " ".join(words) in calls, heading


def test_every_option_is_described_where_its_command_is(
    program: dict[tuple[str, ...], Any],
) -> None:
    found = sections()
    everywhere = found["GLOBAL OPTIONS"] + found["COMMON OPTIONS"]
    for words, command in program.items():
        call = " ".join(("cacheadmin", *words))
        own = "".join(
            text
            for heading, text in found.items()
            if heading == call or heading.startswith(f"{call} ")
        )
        for parameter in command.params:
            if parameter.param_type_name == "option":
                for option in (*parameter.opts, *parameter.secondary_opts):
                    assert re.search(rf"(?<![\w-]){option}(?![\w-])", own + everywhere), (
                        f"{call} {option}"
                    )


def test_every_exit_code_is_listed() -> None:
    status = sections()["EXIT STATUS"]
    for code in ExitCode:
        assert f".B {code.value}\n" in status


@pytest.mark.parametrize(
    "page", ["cacheadmin.1", "cacheadmin-policy.5", "cacheadmin.7", "cacheadmin.8"]
)
def test_groff_has_nothing_to_complain_about(page: str) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    command = ["groff", "-man", "-ww", "-z", "-Tutf8", str(MANUAL.with_name(page))]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.stderr == ""
    assert finished.returncode == 0


def rule_entries() -> dict[str, list[str]]:
    """Return the audit rules that cacheadmin(7) lists: id to the lines of its entry."""
    text = (MANUAL.with_name("cacheadmin.7")).read_text(encoding="utf-8")
    listed = text.partition('.\\" BEGIN RULES')[2].partition('.\\" END RULES')[0]
    entries: dict[str, list[str]] = {}
    for entry in listed.split(".TP\n")[1:]:
        head, *rest = plain(entry).splitlines()
        entries[head.split()[1]] = [head, *rest]
    return entries


def test_the_manual_lists_every_audit_rule_with_its_severity() -> None:
    from cacheadmin.audit.rules import RULES

    entries = rule_entries()
    assert set(entries) == {rule.id for rule in RULES}
    for rule in RULES:
        head, *words = entries[rule.id]
        assert rule.severity.value in head, rule.id
        assert words, rule.id


@pytest.mark.parametrize("page", sorted(MANUAL.parent.iterdir()), ids=lambda page: page.name)
def test_a_page_has_each_section_once_and_names_all_the_others(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("\\-", "-")
    headings = re.findall(r"^\.SH (.*)", text, re.MULTILINE)
    assert len(headings) == len(set(headings))
    see_also = text.partition(".SH SEE ALSO\n")[2]
    others = (path.name.rsplit(".", 1) for path in MANUAL.parent.iterdir() if path != page)
    for name, number in others:
        assert f"{name} ({number})" in see_also, name


def test_plan_rules_of_the_manual_are_as_make_manual_rules_writes_them() -> None:
    page = MANUAL.with_name("cacheadmin.7").read_text(encoding="utf-8")
    assert with_plan_rules(page, REASONS.values()) == page
    one = Reason("wheel.new", False, ".tmp-x isn't \\ any more.", "", "")
    assert '.BR wheel.new " (remove)"\n\\&.tmp\\-x isn\\(aqt \\e any' in with_plan_rules(
        page, [one]
    )


def test_the_manual_says_of_every_plan_rule_what_the_table_says() -> None:
    text = (MANUAL.with_name("cacheadmin.7")).read_text(encoding="utf-8")
    listed = text.partition('.\\" BEGIN PLAN RULES')[2].partition('.\\" END PLAN RULES')[0]
    found = {}
    for entry in listed.split(".TP\n")[1:]:
        head, *rest = plain(entry).splitlines()
        _, name, decision = head.split(maxsplit=2)
        found[name] = (decision.strip('" ()'), " ".join(rest).replace("\\(aq", "'"))
    assert found == {
        one.id: ("keep" if one.keeps else "remove", one.means) for one in REASONS.values()
    }
