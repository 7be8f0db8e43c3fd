"""``cacheadmin help``: a command, an audit rule, a key of the policy, or the exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cacheadmin.audit.rules import RULES
from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.commands import SENTENCES, function_of
from cacheadmin.cli.program import run_program
from cacheadmin.errors import ExitCode, WrongUsage
from cacheadmin.policy.keys import all_keys, key_words
from cacheadmin.report.width import wrapped

if TYPE_CHECKING:
    from cacheadmin.audit.rule import Rule

_CODES = {
    ExitCode.DONE: "done, safe, or nothing to do",
    ExitCode.UNEXPECTED: "unexpected error",
    ExitCode.USAGE: "wrong usage",
    ExitCode.BUSY: "busy: the cache lock, or another cacheadmin run, was not free in time",
    ExitCode.LIMITED: "limited: prune would run, but must keep things",
    ExitCode.REFUSED: "refused by policy or by missing evidence; nothing was changed",
    ExitCode.ROLLED_BACK: "rolled back: the check after the prune failed, all was put back",
    ExitCode.PARTIAL: "partial: some removals failed, all others are done",
    ExitCode.FINDINGS: "findings at or above --fail-on",
    ExitCode.NOT_FOUND: "no such policy or cache, or the folder is not a uv cache",
    ExitCode.NOT_PERMITTED: "not permitted",
    ExitCode.POLICY_INVALID: "the policy is invalid, or others could have written it",
}


def help(
    topic: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TOPIC",
            help="A command, an audit rule, a key of the policy, or exit-codes.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Explain a command, an audit rule, a key of the policy, or the exit codes."""
    from cacheadmin.policy.parser import nearest

    words = list(topic or ())
    if _is_call(words):
        run_program([*words, "--help"])
        if not words:
            output.data("\nOther topics: exit-codes, an audit rule, a key of the policy.")
        return
    name = " ".join(words)
    rules = {rule.id: rule for rule in RULES}
    if name == "exit-codes":
        output.data("\n".join(f"{code.value:>3}  {words}" for code, words in _CODES.items()))
    elif name in rules:
        output.data(_rule_text(rules[name]))
    elif name in all_keys():
        output.data(key_words(name))
    else:
        known = (*SENTENCES, *rules, *all_keys(), "exit-codes")
        raise WrongUsage(
            f"there is no help on {name}{nearest(name, known)}",
            hint="topics are commands, audit rules, keys of the policy, and exit-codes",
        )


def _is_call(words: list[str]) -> bool:
    if len(words) < 2:
        return not words or words[0] in SENTENCES
    name, second, *others = words
    return not others and function_of(name, second) is not None


def _rule_text(rule: type[Rule]) -> str:
    lines = [f"audit rule {rule.id} ({rule.severity.value}): {rule.title}"]
    lines += [wrapped(rule.rationale, "  ", "  "), wrapped(f"fix: {rule.fix}", "  ", "  ")]
    lines += [f"  threshold {name}" for name in rule.thresholds]
    lines.append(f"  in a policy: `audit: {{{rule.id}: off}}`, or another severity")
    return "\n".join(lines)
