"""The JSON Schema of policies: the model's own, and what is known beside the model.

Editors check with it while one types. It refuses what ``policy check``
refuses, as far as a schema can say it: names of audit rules and thresholds,
which the model does not know, and keys whose feature is not there yet. What
only a look at several keys or at the system tells (a quarantine inside the
cache, an account that is not there) is left to ``policy check``.
"""

from __future__ import annotations

from typing import Any

from cacheadmin.audit.rules import RULES
from cacheadmin.audit.rules.suppression_unused import SuppressionUnused
from cacheadmin.audit.thresholds import ThresholdKind, Words, kind_of
from cacheadmin.policy.model import Policy
from cacheadmin.policy.quantities import DURATION_PATTERN, SHARE_PATTERN, SIZE_PATTERN
from cacheadmin.policy.unsupported import unsupported_schemas

SCHEMA_ID = "urn:cacheadmin:policy:1"

_SEVERITIES: list[Any] = ["error", "warning", "info", "off", False]
_SIZE: list[dict[str, Any]] = [
    {"type": "string", "pattern": SIZE_PATTERN},
    {"type": "integer", "minimum": 0},
]
_KINDS: dict[ThresholdKind, dict[str, Any]] = {
    ThresholdKind.YES_OR_NO: {"type": "boolean"},
    ThresholdKind.COUNT: {"type": "integer", "minimum": 0},
    ThresholdKind.NUMBER: {"type": "number", "minimum": 0},
    ThresholdKind.SIZE: {"anyOf": _SIZE},
    ThresholdKind.SIZE_OR_SHARE: {"anyOf": [*_SIZE, {"type": "string", "pattern": SHARE_PATTERN}]},
    ThresholdKind.SHARE: {"type": "string", "pattern": SHARE_PATTERN},
    ThresholdKind.DURATION: {"type": "string", "pattern": DURATION_PATTERN},
    ThresholdKind.TEXT: {"type": "string"},
    ThresholdKind.LIST: {"type": "array", "items": {"type": "string"}},
}


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of a policy file."""
    schema = Policy.model_json_schema()
    definitions = schema["$defs"]
    settings = definitions["AuditSettings"]
    settings["additionalProperties"] = False
    for rule in RULES:
        thresholds = {name: _threshold(default) for name, default in rule.thresholds.items()}
        settings["properties"][rule.id] = {
            "description": rule.title,
            "anyOf": [
                {"enum": _SEVERITIES},
                {
                    "type": "object",
                    "properties": {"severity": {"enum": [*_SEVERITIES[:-1], None]}, **thresholds},
                    "additionalProperties": False,
                },
            ],
        }
    named = [rule.id for rule in RULES if rule is not SuppressionUnused]
    definitions["Suppression"]["properties"]["rule"]["enum"] = named
    prune = definitions["Prune"]["properties"]
    prune["budget"] = {"anyOf": [prune["budget"], {"enum": ["off", False, None]}]}
    for key, allowed in unsupported_schemas():
        _property(schema, key).update(allowed)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **schema,
        "title": "Policy of cacheadmin",
    }


def _threshold(default: Any) -> dict[str, Any]:
    schema = dict(_KINDS[kind_of(default)])
    if isinstance(default, Words):
        schema["items"] = {"enum": list(default.known)}
    return schema


def _property(schema: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the schema of a key in a section, to be changed."""
    found: dict[str, Any] = schema
    for part in key.split("."):
        if "$ref" in found:
            found = schema["$defs"][found["$ref"].rpartition("/")[2]]
        found = found["properties"][part]
    return found
