"""What a policy says of audit rules: severities, thresholds, suppressions, and mistakes in them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from cacheadmin.audit.rule import Rule
from cacheadmin.audit.rules import RULES
from cacheadmin.audit.settings import Setting, chosen_rules, settings_of
from cacheadmin.audit.suppressions import has_expired, suppress
from cacheadmin.audit.thresholds import (
    FromPolicy,
    ThresholdKind,
    default_in,
    default_words,
    kind_of,
    read_threshold,
)
from cacheadmin.errors import PolicyInvalid, WrongUsage
from cacheadmin.findings import Finding, Severity
from cacheadmin.policy.effective import effective_values
from cacheadmin.policy.loaded import LoadedPolicy
from cacheadmin.policy.model import Policy, Suppression
from cacheadmin.policy.parser import parse_policy
from cacheadmin.policy.quantities import Share
from tests.support.uv_releases import REPOSITORY

GOOD = "version: 1\nname: ml\ncache: /srv/uv\n"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 10**9


def loaded(text: str) -> LoadedPolicy:
    return parse_policy(f"{GOOD}{text}\n".encode(), "p.yaml")


def settings(text: str) -> dict[str, Setting]:
    return settings_of(loaded(text))


def error_of(text: str) -> str:
    with pytest.raises(PolicyInvalid) as caught:
        settings(text)
    return "\n".join((caught.value.message, *caught.value.details))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "audit: {unknown-buket: off}",
            "p.yaml:4:9: unknown rule audit.unknown-buket: did you mean unknown-bucket?",
        ),
        (
            "audit:\n  supress: {}",
            "p.yaml:5:3: unknown rule audit.supress: did you mean suppress?",
        ),
        (
            "audit: {link-mode: {allow: [symlink, symlnk]}}",
            "p.yaml:4:21: audit.link-mode.allow: 'symlnk' is none of symlink, hardlink, clone, "
            "copy",
        ),
        (
            "audit:\n  cache-size:\n    max_sise: 5GiB",
            "p.yaml:6:5: unknown threshold audit.cache-size.max_sise: did you mean max_size?",
        ),
        (
            "audit:\n  cache-size: {severty: info}",
            "unknown threshold audit.cache-size.severty: did you mean severity?",
        ),
        (
            "audit: {cache-size: {max_size: big}}",
            "p.yaml:4:22: audit.cache-size.max_size: 'big' is no size",
        ),
        (
            "audit: {cache-size: {max_files: 1k}}",
            "audit.cache-size.max_files: must be a whole number, not '1k'",
        ),
        ("audit: {cache-size: {max_files: -1}}", "must be a whole number, not -1"),
        ("audit: {cache-size: {max_files: true}}", "must be a whole number, not True"),
        (
            "audit: {quarantine-overdue: {slack: 5}}",
            "audit.quarantine-overdue.slack: must be a duration such as 30d, not 5",
        ),
        (
            "audit:\n  suppress:\n  - {rule: cache-sise, reason: r, expires: 2027-01-01}",
            "p.yaml:6:6: audit.suppress.0.rule: there is no rule cache-sise: did you mean",
        ),
        (
            "audit: {suppress: [{rule: suppression-unused, reason: r, expires: 2027-01-01}]}",
            "turn suppression-unused off instead",
        ),
    ],
)
def test_a_name_or_value_that_means_nothing_is_said_with_its_place(
    text: str, expected: str
) -> None:
    assert expected in error_of(text)


def test_all_mistakes_come_together_in_the_order_of_the_file() -> None:
    lines = error_of(
        "audit:\n  cache-size: {a: 1}\n  b: off\n  suppress: [{rule: c, reason: r, "
        "expires: 2027-01-01}]"
    ).splitlines()
    assert [line.split(":")[1] for line in lines] == ["5", "6", "7"]


def test_every_rule_is_on_with_its_own_severity_and_thresholds_unless_the_policy_speaks() -> None:
    found = settings("")
    assert set(found) == {rule.id for rule in RULES}
    for setting in found.values():
        assert setting.severity is None
        assert set(setting.thresholds) == set(setting.rule.thresholds)


def test_a_word_is_a_severity_and_off_takes_the_rule_out() -> None:
    found = settings("audit: {unknown-bucket: info, cache-size: off, stale-observation: false}")
    assert found["unknown-bucket"].severity is Severity.INFO
    assert not {"cache-size", "stale-observation"} & set(found)


def test_thresholds_come_from_the_policys_other_keys_unless_they_are_given() -> None:
    text = "prune: {budget: {max_size: 5GiB, min_free: 10%}}\nhosts: {max_age: 3d}\n"
    found = settings(text)
    assert found["cache-size"].thresholds["max_size"] == 5 * 1024**3
    assert found["cache-size"].thresholds["min_free"] == Share(10)
    assert found["cache-size"].thresholds["max_files"] is None
    assert found["stale-observation"].thresholds["max_age"] == timedelta(days=3)
    given = settings(text + "audit: {cache-size: {max_size: 7, warn_at: 50%}}")
    assert given["cache-size"].thresholds["max_size"] == 7
    assert given["cache-size"].thresholds["warn_at"] == Share(50)
    assert given["cache-size"].severity is None


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_says_what_why_and_what_to_do_and_its_thresholds_can_be_written(
    rule: type[Rule],
) -> None:
    assert rule.id == rule.id.lower().replace("_", "-")
    assert rule.title
    assert rule.rationale.endswith(".")
    assert rule.fix
    policy = Policy(version=1, name="p", cache="/c")
    for default in rule.thresholds.values():
        assert kind_of(default) in ThresholdKind
        assert default_words(default) != "None"
        default_in(policy, default)


def test_no_two_rules_have_one_id() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(
    ("default", "written", "read"),
    [
        (5, 7, 7),
        (True, False, False),
        (0.5, 2, 2.0),
        ("a", "b", "b"),
        ((), ("x", "y"), ("x", "y")),
        (Share(1), "20%", Share(20)),
        (timedelta(1), "12h", timedelta(hours=12)),
        (FromPolicy("prune.budget.max_size", ThresholdKind.SIZE), "1KiB", 1024),
        (FromPolicy("prune.budget.min_free", ThresholdKind.SIZE_OR_SHARE), "5%", Share(5)),
        (FromPolicy("prune.budget.min_free", ThresholdKind.SIZE_OR_SHARE), 5, 5),
    ],
)
def test_a_threshold_is_read_as_the_type_its_default_has(default, written, read) -> None:
    assert read_threshold(default, written) == read
    assert type(read_threshold(default, written)) is type(read)


@pytest.mark.parametrize(
    ("default", "written"),
    [(5, "7"), (5, True), (True, 1), ("a", 1), ((), "x"), ((), (1,)), (Share(1), "200%")],
)
def test_a_threshold_of_another_type_is_refused(default, written) -> None:
    with pytest.raises(ValueError, match=r"must be|must lie"):
        read_threshold(default, written)


def finding(rule: str = "cache-size", subject: str = "/srv/uv", **facts: object) -> Finding:
    values = {"severity": Severity.ERROR, "owner": None, "detail": "d", "fix": "f"}
    return Finding(rule=rule, subject=subject, **(values | facts))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "own", "judged"),
    [
        (None, "warning", "warning"),
        ("info", "error", "info"),
        ("info", "warning", "info"),
        ("error", "warning", "warning"),
        ("warning", "warning", "warning"),
        ("warning", "error", "warning"),
        ("warning", "info", "info"),
    ],
)
def test_a_severity_of_the_policy_never_makes_a_mild_finding_worse(
    wanted: str | None, own: str, judged: str
) -> None:
    text = "" if wanted is None else f"audit: {{cache-size: {wanted}}}"
    setting = settings(text)["cache-size"]
    assert setting.judged(finding(severity=Severity(own))).severity is Severity(judged)


def test_a_warning_rule_can_be_made_an_error() -> None:
    setting = settings("audit: {unknown-bucket: error}")["unknown-bucket"]
    assert setting.judged(finding(severity=Severity.WARNING)).severity is Severity.ERROR


def suppression(rule: str = "cache-size", **keys: object) -> Suppression:
    return Suppression(
        rule=rule,
        **({"reason": "known", "expires": date(2026, 12, 1)} | keys),  # type: ignore[arg-type]
    )


def test_a_suppression_holds_through_its_last_day_in_utc() -> None:
    one = suppression(expires=date(2026, 11, 21))
    end = int(datetime(2026, 11, 22, tzinfo=UTC).timestamp()) * 10**9
    assert not has_expired(one, NOW_NS)
    assert not has_expired(one, end - 1)
    assert has_expired(one, end)


@pytest.mark.parametrize(
    ("keys", "hides"),
    [
        ({}, True),
        ({"subject": "/srv/*"}, True),
        ({"subject": "/srv/uv"}, True),
        ({"subject": "/srv"}, False),
        ({"owner": "ana"}, True),
        ({"owner": "ben"}, False),
        ({"rule": "unknown-bucket"}, False),
        ({"expires": date(2026, 11, 20)}, False),
    ],
)
def test_a_suppression_hides_what_it_names_and_nothing_else(
    keys: dict[str, object], hides: bool
) -> None:
    one = suppression(**keys)  # type: ignore[arg-type]
    found = suppress([finding(owner="ana")], [one], NOW_NS)
    assert bool(found.hidden) is hides
    assert bool(found.shown) is not hides
    expired = has_expired(one, NOW_NS)
    assert found.unused == (() if hides or expired else (one,))


def test_every_suppression_that_fits_counts_as_used_and_the_first_is_named() -> None:
    wide, narrow = suppression(reason="wide"), suppression(subject="/srv/uv", reason="narrow")
    found = suppress([finding()], [wide, narrow], NOW_NS)
    assert found.unused == ()
    assert found.hidden[0].suppression is wide


def test_policy_show_names_what_is_said_of_rules() -> None:
    text = "audit:\n  unknown-bucket: info\n  cache-size: {warn_at: 50%}\n"
    values = {key: (value, origin) for key, value, origin in effective_values(loaded(text))}
    assert values["audit.unknown-bucket.severity"] == ("info", "p.yaml:5")
    assert values["audit.cache-size.warn_at"] == ("50%", "p.yaml:6")
    assert values["audit.suppress"] == ([], "default")


def test_a_rule_that_is_named_on_the_command_line_must_exist() -> None:
    assert chosen_rules(["cache-size"]) == {"cache-size"}
    with pytest.raises(WrongUsage, match="did you mean cache-size"):
        chosen_rules(["cachesize"])


def test_the_strict_example_is_as_strict_as_it_says() -> None:
    path = REPOSITORY / "policies" / "team-strict.yaml"
    rules = settings_of(parse_policy(path.read_bytes(), str(path)))
    assert rules["uv-below-minimum"].severity is Severity.ERROR
    assert rules["registry-coverage"].severity is Severity.ERROR
    assert rules["registry-coverage"].thresholds["minimum"] == Share(100.0)
