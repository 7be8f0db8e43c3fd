"""Every sentence of README, pages, manuals and site files about what audit does has its test.

A sentence that names the audit is a claim. `CLAIMS` says by which test each is shown, or
why it claims nothing: a new sentence without an entry fails here, and so does an entry
whose sentence or test is gone. The claims of the sharing page are tried one by one in
`test_docs_sharing_recipe.py`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cacheadmin.audit.rules import RULES
from tests.support.uv_releases import REPOSITORY

NOTHING_CLAIMED = "it says where something is, or how to call it; test_docs_commands_run runs it"

_COMMAND = "integration/audit/test_audit_command.py::"
_RIGHTS = "integration/audit/test_audit_rules_about_rights.py::"
_METRICS = "integration/operations/test_metrics_and_logs.py::"
_PEOPLE = "integration/operations/test_people_are_told.py::"
_SETTINGS = "unit/audit/test_audit_settings.py::"
_ADVISORIES = "scenarios/test_advisories_name_what_a_cache_holds.py::"
_ACCOUNTS = "scenarios/test_what_audit_prints_accounts_run.py::"
_FAILS = f"{_COMMAND}test_what_fails_an_audit_is_said_on_the_command_line"
_QUIET = f"{_COMMAND}test_cron_hears_nothing_unless_the_audit_fails"
_MANY = f"{_COMMAND}test_a_hundred_policies_are_audited_whatever_one_of_them_is"
_TOLD = f"{_PEOPLE}test_errors_of_an_audit_and_overdue_runs_are_told_apart"
_SHARED = "scenarios/test_docs_sharing_recipe.py::" \
          "test_the_audit_says_when_something_of_the_page_is_missing"  # fmt: skip
_AS_OWNER = f"{_RIGHTS}test_what_one_member_left_closed_everywhere_is_one_finding_with_one_command"
_SEVERITIES = (
    f"{_SETTINGS}"
    "test_every_rule_is_on_with_its_own_severity_and_thresholds_unless_the_policy_speaks"
)
_SUPPRESSED = f"{_SETTINGS}test_a_suppression_hides_what_it_names_and_nothing_else"
_LISTED = f"{_COMMAND}test_every_rule_is_listed_with_its_reason_and_an_unknown_one_is_wrong_usage"
_TAKEN = (
    "integration/protect/test_nothing_of_others_is_taken_for_ours.py::"
    "test_a_private_folder_that_was_renamed_to_ours_is_not_given_away_and_is_a_finding"
)

#: A piece of each sentence, and the tests that show it.
CLAIMS: dict[str, tuple[str, ...] | str] = {
    # README
    "Every week: audit": (
        _MANY,
        f"{_COMMAND}test_findings_go_to_the_team_of_their_owner",
        f"{_COMMAND}test_suppressions_that_expired_or_hide_nothing_are_found",
        "unit/audit/test_audit_formats.py::test_sarif_describes_every_rule",
        "unit/audit/test_audit_formats.py::test_no_name_becomes_markup_in_markdown",
        "unit/audit/test_audit_formats.py::test_csv_has_a_row_a_finding_with_its_policy_and_cache",
    ),
    "holds the cache against OSV or pip-audit files": (
        f"{_ADVISORIES}test_releases_environments_and_the_fix_are_named",
    ),
    "man 7 cacheadmin` (concepts": NOTHING_CLAIMED,
    "printed for entries of root's gave away what is on trial": (
        "integration/cli/test_advice_can_be_followed_literally.py::"
        "test_what_is_on_trial_stays_ours_when_roots_entries_are_given_to_a_member",
    ),
    # docs
    "takes such a write for settled": (
        f"{_ACCOUNTS}test_a_uv_of_the_standalone_installer_updates_itself",
    ),
    "the fixes of `audit` run as the owner": (_AS_OWNER,),
    "is in the units that only look": NOTHING_CLAIMED,
    "alerts on the metrics below": (
        "integration/operations/test_prometheus_rules.py::test_each_alert_fires_when_it_should_and_only_then",
    ),
    "replaces FILE as a whole, mode 0644": (
        f"{_METRICS}test_an_audit_tells_findings_of_each_cache_and_which_it_could_not_reach",
    ),
    "an audit whatever it found": (
        f"{_METRICS}test_an_audit_whose_reader_leaves_early_tells_its_findings_all_the_same",
        f"{_METRICS}test_an_audit_tells_findings_of_each_cache_and_which_it_could_not_reach",
    ),
    "by `rule` and `severity` (audit)": (
        f"{_METRICS}test_an_audit_whose_reader_leaves_early_tells_its_findings_all_the_same",
    ),
    "have to say that a person should know": (_TOLD,),
    "an audit every Monday": NOTHING_CLAIMED,
    "`systemctl enable --now cacheadmin-audit@ml-team.timer`": NOTHING_CLAIMED,
    "overdue quarantine, errors of an audit": (_TOLD,),
    "the audit has errors": (
        _TOLD,
        f"{_SETTINGS}test_every_rule_says_what_why_and_what_to_do_and_its_thresholds_can_be_written",
    ),
    "says when something of this page is missing": (_SHARED,),
    # cacheadmin(1)
    "prune, preflight, audit) Also say in FILE": (
        f"{_METRICS}test_an_audit_tells_findings_of_each_cache_and_which_it_could_not_reach",
    ),
    "the findings of the audit with what to do": (
        "integration/report/test_report_of_a_cache.py::test_the_report_agrees_with_usage_and_plan",
    ),
    "are for scripts": (
        "integration/report/test_report_of_a_cache.py::test_it_leaves_with_0_whatever_it_shows",
    ),
    "one that can't be read, or whose cache can't be looked at": (
        _MANY,
        f"{_COMMAND}test_one_policy_alone_fails_as_in_every_other_command",
    ),
    "Severities, thresholds and suppressions are set in the policy": (_SEVERITIES, _SUPPRESSED),
    "nothing is printed unless the audit fails": (_QUIET,),
    "an audit rule (help lock-file)": (
        "integration/cli/test_calling_the_command_line.py::"
        "test_help_explains_commands_rules_keys_and_exit_codes",
    ),
    "The same for a weekly audit": NOTHING_CLAIMED,
    "and print what was found, the worst first": (
        "unit/audit/test_audit_formats.py::test_people_read_the_worst_first_with_a_fix_below_each",
        _MANY,
    ),
    # cacheadmin-policy(5)
    "What is told, each at most once a day": (_TOLD,),
    "How bad it is what an audit rule finds": (_SEVERITIES, _FAILS),
    "the word alone says the same": (
        f"{_SETTINGS}test_a_word_is_a_severity_and_off_takes_the_rule_out",
    ),
    "names all rules and thresholds": (_LISTED,),
    "Findings that are known and accepted": (_SUPPRESSED,),
    "but fail no audit": (
        f"{_COMMAND}test_one_cache_as_json",
        "unit/audit/test_audit_formats.py::test_what_is_suppressed_is_counted_and_shown_on_request",
        "unit/audit/test_audit_formats.py::test_a_suppressed_sarif_result_says_why_and_until_when",
    ),
    "audit.suppress[].rule": NOTHING_CLAIMED,
    "audit.suppress[].subject": (_SUPPRESSED,),
    "audit.suppress[].owner": (_SUPPRESSED,),
    "audit.suppress[].reason": (f"{_COMMAND}test_one_cache_as_json",),
    "audit.suppress[].expires": (
        f"{_SETTINGS}test_a_suppression_holds_through_its_last_day_in_utc",
    ),
    "version: 1 name: ml-team cache: /shared/uv audit:": NOTHING_CLAIMED,
    # cacheadmin(7)
    "shared uv caches: words, audit rules": NOTHING_CLAIMED,
    "cacheadmin audit checks these": (_LISTED,),
    "findings suppressed for a time, in the section audit": (_SEVERITIES, _SUPPRESSED),
    "Only with audit --advisories": (
        f"{_ADVISORIES}test_releases_environments_and_the_fix_are_named",
    ),
    "an audit that leaves it out must not look clean": (_MANY,),
    "not-audited (error)": (_MANY,),
    "sizes, and the blocks that files share; and, after the moves": (
        "integration/evidence/test_who_opens_what.py::test_the_command_itself_opens_nothing_of_users",
    ),
    "the audit rule name-taken reports it": (_TAKEN,),
    "preflight and the audit say": (_TAKEN,),
    # cacheadmin(8)
    "policy check ml-team cacheadmin audit ml-team": NOTHING_CLAIMED,
    "audit says whether people can share the cache at all": (_SHARED,),
    "systemctl enable --now cacheadmin@ml-team.timer": NOTHING_CLAIMED,
    "8 comes from audit": (_FAILS,),
    "overdue quarantine and errors of an audit are told": (_TOLD,),
    # Policies, units, cron lines
    "What the weekly audit (`cacheadmin audit team-strict`) is strict about": (
        f"{_SETTINGS}test_the_strict_example_is_as_strict_as_it_says",
    ),
    "cacheadmin -q audit ml-team": (_QUIET,),
    "the audit of {{ $labels.policy }} has": (
        "integration/operations/test_prometheus_rules.py::test_each_alert_fires_when_it_should_and_only_then",
    ),
    "Audits one cache;": NOTHING_CLAIMED,
    "It changes nothing, and fails when there are errors": (
        f"{_COMMAND}test_one_cache_as_json",
        _FAILS,
    ),
    "Audit of the uv cache of policy": NOTHING_CLAIMED,
    "Weekly audit of the uv cache": NOTHING_CLAIMED,
    "ExecStart=/usr/bin/cacheadmin --quiet audit": (_QUIET,),
    "OPTIONS=--metrics": NOTHING_CLAIMED,
}

# The trail, what uv prints, other programs, and names of files are no audit of ours.
_OTHERS = re.compile(r"audit[ _]trail|pip-audit|Audited/Checked|audit_errors\)?$", re.I)
_FOR_DEVELOPERS = {"CONTRIBUTING.md", "architecture.md"}


def pages() -> Iterator[Path]:
    """Yield what users read."""
    yield REPOSITORY / "README.md"
    yield REPOSITORY / "SECURITY.md"
    yield from sorted((REPOSITORY / "docs").rglob("*.md"))
    yield from sorted((REPOSITORY / "man").glob("*.[1-9]"))
    yield from sorted((REPOSITORY / "policies").iterdir())
    operations = REPOSITORY / "docs" / "operations"
    for folder in ("cron.d", "systemd", "prometheus", "kubernetes"):
        yield from sorted(path for path in (operations / folder).iterdir() if path.is_file())


def sentences(path: Path) -> Iterator[str]:
    """Yield the sentences of a page, each on one line, without what a formatter reads."""
    text = path.read_text(encoding="utf-8")
    if re.fullmatch(r"\.[1-9]", path.suffix):
        text = _of_manual(text)
    elif path.suffix == ".md":
        # Commands are run by tests of their own.
        text = re.sub(r"^\s*```.*?^\s*```", "", text, flags=re.DOTALL | re.MULTILINE)
    else:
        text = re.sub(r"^ *# ?", "", text, flags=re.MULTILINE)
    for paragraph in re.split(r"\n\s*\n|\n(?=[-*|#[] ?)", text):
        yield from re.split(r"(?<=[.:;]) (?=[A-Z`(])", " ".join(paragraph.split()))


def _of_manual(text: str) -> str:
    text = re.sub(r'\.\\".*', "", text)
    text = re.sub(
        r"^\.(TP|PP|SS|SH|IP|RS|RE|EX|EE|br|nf|fi|TH)\b", "\n\n", text, flags=re.MULTILINE
    )
    text = re.sub(r"^\.(BR|RB|IR|RI|BI|IB) (.*)$", lambda found: _joined(found[2]), text,
                  flags=re.MULTILINE)  # fmt: skip
    text = re.sub(r"^\.[BI] (.*)$", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"\\f[BIRP]|\\&", "", text)
    return text.replace("\\(aq", "'").replace("\\-", "-").replace('"', "")


def _joined(words: str) -> str:
    return re.sub(r'"([^"]*)" ?|(\S+) ?', lambda found: found[1] or found[2] or "", words)


def claims() -> list[tuple[str, str]]:
    """Return (page, sentence) of every sentence about an audit."""
    return [
        (path.name, sentence)
        for path in pages()
        if path.name not in _FOR_DEVELOPERS
        for sentence in sentences(path)
        if re.search(r"\baudit(s|ed)?\b", _OTHERS.sub("", sentence), re.IGNORECASE)
    ]


FOUND = claims()


def test_every_sentence_about_the_audit_is_shown_by_a_test() -> None:
    new = [
        f"{page}: {sentence}"
        for page, sentence in FOUND
        if not any(piece in sentence for piece in CLAIMS)
    ]
    assert new == [], "say in CLAIMS which test shows it"


@pytest.mark.parametrize("piece", CLAIMS)
def test_every_claim_stands_on_a_page_and_its_tests_exist(piece: str) -> None:
    assert any(piece in sentence for _, sentence in FOUND), "no page says that any more"
    for test in CLAIMS[piece] if isinstance(CLAIMS[piece], tuple) else ():
        file, _, name = test.partition("::")
        tree = ast.parse((REPOSITORY / "tests" / file).read_text(encoding="utf-8"))
        assert name in {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}, test


@pytest.mark.parametrize("rule", [one.id for one in RULES])
def test_every_rule_is_found_by_some_test(rule: str) -> None:
    """The manual says of each what is wrong then: a cache where it is, and audit says so."""
    named = [
        path.name
        for folder in ("integration", "scenarios")
        for path in sorted((REPOSITORY / "tests" / folder).rglob("test_*.py"))
        if f'"{rule}"' in path.read_text(encoding="utf-8")
    ]
    assert named
