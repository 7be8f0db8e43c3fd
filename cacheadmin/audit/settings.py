"""What a policy says of rules, checked against the rules there are.

The policy's model knows the shape of its ``audit`` key; the names of rules and
thresholds are known here. An unknown name is an error with its position,
as everywhere in a policy: a suppression with a typing error would hide nothing,
a threshold with one would change nothing, and no admin would notice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rules import RULES
from cacheadmin.audit.rules.suppression_unused import SuppressionUnused
from cacheadmin.audit.thresholds import default_in, read_threshold
from cacheadmin.errors import WrongUsage
from cacheadmin.findings import Finding, Severity
from cacheadmin.policy.parser import Problem, invalid, nearest
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.audit.rule import Rule
    from cacheadmin.policy.loaded import LoadedPolicy
    from cacheadmin.policy.model import RuleSetting


@frozen
class Setting:
    """How one rule is applied."""

    rule: type[Rule]
    """The rule."""
    severity: Severity | None
    """The severity that the policy gives it; None: its own."""
    thresholds: Mapping[str, Any]
    """The value of each of its thresholds, by name."""

    def judged(self, finding: Finding) -> Finding:
        """Return a finding with the severity the policy wants.

        What the rule itself calls milder than its severity never becomes
        worse by that: a cache nearly full is not what a full one is.
        """
        if self.severity is None:
            return finding
        if finding.severity.rank <= self.rule.severity.rank:
            return replace(finding, severity=self.severity)
        milder = max(finding.severity, self.severity, key=lambda severity: severity.rank)
        return replace(finding, severity=milder)


def settings_of(loaded: LoadedPolicy) -> dict[str, Setting]:
    """Return the setting of every rule that is not off, by its id.

    Raises PolicyInvalid that tells every unknown name and wrong value with
    file, line and column.
    """
    problems = sorted(_problems(loaded))
    if problems:
        raise invalid(loaded.path or "policy", problems)
    said = loaded.policy.audit.rules
    found = {}
    for rule in RULES:
        setting = said.get(rule.id)
        severity = None if setting is None else setting.severity
        if severity != "off":
            found[rule.id] = Setting(
                rule,
                None if severity is None else Severity(severity),
                _thresholds(loaded, rule, setting),
            )
    return found


def chosen_rules(names: Iterable[str]) -> frozenset[str]:
    """Return the rule ids a command line names; none: all. Raises WrongUsage for an unknown one."""
    known = {rule.id for rule in RULES}
    for name in names:
        if name not in known:
            raise WrongUsage(
                f"there is no audit rule {name}{nearest(name, known)}",
                hint="`cacheadmin audit --list-rules` names them",
            )
    return frozenset(names) or frozenset(known)


def _thresholds(
    loaded: LoadedPolicy, rule: type[Rule], setting: RuleSetting | None
) -> dict[str, Any]:
    said = {} if setting is None else setting.model_extra or {}
    return {
        name: read_threshold(default, said[name])
        if name in said
        else default_in(loaded.policy, default)
        for name, default in rule.thresholds.items()
    }


def _problems(loaded: LoadedPolicy) -> Iterator[Problem]:
    rules = {rule.id: rule for rule in RULES}
    audit = loaded.policy.audit
    for name, setting in audit.rules.items():
        key = f"audit.{name}"
        rule = rules.get(name)
        if rule is None:
            yield _problem(loaded, key, f"unknown rule {key}{nearest(name, (*rules, 'suppress'))}")
            continue
        for threshold, value in (setting.model_extra or {}).items():
            inner = f"{key}.{threshold}"
            if threshold not in rule.thresholds:
                near = nearest(threshold, ("severity", *rule.thresholds))
                yield _problem(loaded, inner, f"unknown threshold {inner}{near}")
                continue
            try:
                read_threshold(rule.thresholds[threshold], value)
            except ValueError as error:
                yield _problem(loaded, inner, f"{inner}: {error}")
    for number, suppression in enumerate(audit.suppress):
        key = f"audit.suppress.{number}.rule"
        if suppression.rule == SuppressionUnused.id:
            yield _problem(loaded, key, f"{key}: turn {suppression.rule} off instead")
        elif suppression.rule not in rules:
            near = nearest(suppression.rule, rules)
            yield _problem(loaded, key, f"{key}: there is no rule {suppression.rule}{near}")


def _problem(loaded: LoadedPolicy, key: str, text: str) -> Problem:
    return (*loaded.positions.get(key, (1, 1)), text)
