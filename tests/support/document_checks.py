"""Documents held against their schemas.

check_document(document)                  # every document that a test reads
check_document(document, closed=True)     # and it has no key that no schema tells of
"""

from __future__ import annotations

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from cacheadmin.report.document_schemas import document_schemas


def check_document(document: Any, *, closed: bool = False) -> None:
    """Assert that a document, or a line of the trail, follows its schema.

    Others (SARIF, JSON Schemas) are none of ours.
    """
    if not isinstance(document, dict) or not str(document.get("schema")).startswith("cacheadmin/"):
        return
    errors = list(_validator(document["schema"].split("/")[1], closed).iter_errors(document))
    told = [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]} "
        f"{[one.message[:200] for one in error.context or ()]}"
        for error in errors[:5]
    ]
    assert not told, "\n".join([document["schema"], *told])


@cache
def _validator(name: str, closed: bool) -> Draft202012Validator:
    schema = document_schemas()[name]
    Draft202012Validator.check_schema(schema)
    if closed:
        schema = _closed(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that allows no other keys, at its top and in every row."""
    begin, *content = schema.get("allOf", [schema])
    top = [{**begin, "properties": _inner(begin["properties"])}]
    for shape in content:
        variants = shape.get("anyOf", [shape])
        rows = [{**one, "properties": _inner(one["properties"])} for one in variants]
        top.append({"anyOf": rows})
    return {"allOf": top, "unevaluatedProperties": False}


def _inner(shape: Any) -> Any:
    if isinstance(shape, list):
        return [_inner(one) for one in shape]
    if not isinstance(shape, dict):
        return shape
    found = {key: _inner(value) for key, value in shape.items()}
    if shape.get("type") == "object" and "properties" in shape:
        found.setdefault("additionalProperties", False)
    return found
