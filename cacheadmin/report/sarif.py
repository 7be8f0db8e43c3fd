"""Audits as SARIF 2.1.0, which code-scanning pages and editors show.

One run holds the findings of all caches. Every result has a place on the disk:
a finding about a person or host is placed at the cache's root and names them as
a logical location, because many readers drop a result without a file. The
fingerprint is made of what stays the same between runs: rule, subject, owner
and cache, not of the words with their numbers.

Source: OASIS, Static Analysis Results Interchange Format 2.1.0, section 3.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cacheadmin import __version__
from cacheadmin.findings import Severity
from cacheadmin.text.escapes import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cacheadmin.audit.one_cache import Audit
    from cacheadmin.audit.rule import Rule
    from cacheadmin.audit.suppressions import Suppressed
    from cacheadmin.findings import Finding
    from cacheadmin.inventory.entries import CacheIdentity
    from cacheadmin.policy.loaded import LoadedPolicy

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_FINGERPRINT = "cacheadminFinding/v1"


def sarif_log(audits: Sequence[Audit], rules: Sequence[type[Rule]]) -> dict[str, Any]:
    """Return the log of one or many audits; ``rules`` are all that were, or could be, checked."""
    numbers = {rule.id: number for number, rule in enumerate(rules)}
    results: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for audit in audits:
        loaded, cache = audit.loaded, audit.cache
        results += [_result(f, loaded, cache, numbers, seen) for f in audit.findings]
        for one in audit.suppressed:
            result = _result(one.finding, loaded, cache, numbers, seen)
            results.append({**result, "suppressions": [_suppression(one)]})
    if any("suppressions" in result for result in results):
        # Either no result of a run has the key, or all have it (3.27.23).
        results = [{"suppressions": [], **result} for result in results]
    return _log(results, [_rule(rule) for rule in rules])


def findings_log(
    findings: Iterable[Finding], loaded: LoadedPolicy, cache: CacheIdentity
) -> dict[str, Any]:
    """Return the log of findings of one cache whose rules have no more than an id."""
    found = list(findings)
    rules = sorted({finding.rule for finding in found})
    numbers = {rule: number for number, rule in enumerate(rules)}
    seen: dict[str, int] = {}
    results = [_result(finding, loaded, cache, numbers, seen) for finding in found]
    return _log(results, [{"id": rule, "name": _name(rule)} for rule in rules])


def _log(results: list[dict[str, Any]], rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "cacheadmin",
                        "version": __version__,
                        "rules": rules,
                    }
                },
                "invocations": [{"executionSuccessful": True}],
                "columnKind": "unicodeCodePoints",
                "results": results,
            }
        ],
    }


def _rule(rule: type[Rule]) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": _name(rule.id),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.rationale},
        "help": {"text": rule.fix},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _name(rule: str) -> str:
    return "".join(word.capitalize() for word in rule.split("-"))


def _result(
    finding: Finding,
    loaded: LoadedPolicy | None,
    identity: CacheIdentity | None,
    numbers: Mapping[str, int],
    seen: dict[str, int],
) -> dict[str, Any]:
    cache = _cache_path(loaded, identity)
    return {
        "ruleId": finding.rule,
        "ruleIndex": numbers[finding.rule],
        "level": _LEVELS[finding.severity],
        "message": {"text": _message(finding)},
        "locations": [_location(finding, cache)],
        "partialFingerprints": {_FINGERPRINT: _fingerprint(finding, cache, seen)},
        "occurrenceCount": finding.count,
        "properties": {
            "policy": None if loaded is None else loaded.policy.name,
            "cache": None if cache is None else printable(cache),
            "owner": None if finding.owner is None else printable(finding.owner),
            "team": finding.team,
        },
    }


def _message(finding: Finding) -> str:
    """Return what was found and its fix, a line each; no name in it becomes a link (3.11.6)."""
    lines = [finding.detail, *([f"Fix: {finding.fix}"] if finding.fix else [])]
    return "\n".join(map(printable, lines)).replace("](", r"\](")


def _cache_path(loaded: LoadedPolicy | None, cache: CacheIdentity | None) -> str | None:
    if cache is not None:
        return cache.path
    return None if loaded is None else loaded.policy.cache


def _location(finding: Finding, cache: str | None) -> dict[str, Any]:
    if finding.subject.startswith("/"):
        return _physical(finding.subject)
    logical = {"name": printable(finding.subject), "kind": "resource"}
    return {**_physical(cache or "/"), "logicalLocations": [logical]}


def _physical(path: str) -> dict[str, Any]:
    # Names are bytes: those that are no UTF-8 have their percent codes too.
    uri = "file://" + quote(os.fsencode(path), safe="/")
    return {"physicalLocation": {"artifactLocation": {"uri": uri}}}


def _fingerprint(finding: Finding, cache: str | None, seen: dict[str, int]) -> str:
    parts = (finding.rule, finding.subject, finding.owner or "", cache or "")
    digest = hashlib.sha256(b"\0".join(os.fsencode(part) for part in parts)).hexdigest()
    # Two of one rule about one subject, such as size and number of files.
    seen[digest] = seen.get(digest, 0) + 1
    return f"{digest}:{seen[digest]}"


def _suppression(one: Suppressed) -> dict[str, Any]:
    until = f"{one.suppression.reason} (until {one.suppression.expires.isoformat()})"
    return {"kind": "external", "status": "accepted", "justification": printable(until)}
