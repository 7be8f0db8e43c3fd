"""What is wrong with a value or a line of YAML, in words for the person who wrote it.

pydantic and libyaml describe errors to programmers: ``None`` where nothing
stands, tuples where the file has a list, patterns, tokens. Here each of them
says what is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_WANTED = {
    "missing": "is required",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "tuple_type": "must be a list",
    "date_type": "must be a date such as 2027-06-30",
    "dict_type": "must be a mapping of keys",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must begin with a letter or digit, and have nothing but "
    "letters, digits, '.', '_' and '-'",
}
_LIMITS = {
    "string_too_long": ("must have at most {} characters", "max_length"),
    "less_than_equal": ("must be at most {}", "le"),
    "greater_than_equal": ("must be at least {}", "ge"),
}

_YAML = {
    "mapping values are not allowed in this context": "a second `: ` in one line, or a line that "
    "is indented too far: put the value in quotes, or mend the indentation",
    "did not find expected key": "this line does not belong to those above: mend its "
    "indentation, or put the value before it in quotes",
    "did not find expected '-' indicator": "this line does not belong to the list above: mend "
    "its indentation",
    "found unknown escape character": "an unknown escape in double quotes: write the backslash "
    "twice, or use single quotes",
    "could not find expected ':'": "a key without `: ` and a value",
    "but found another document": "a second document begins here: a policy is one",
    "did not find expected node content": "a value is missing here",
}


def describe(detail: Mapping[str, Any], name: str) -> str:
    """Return what is wrong with the key ``name``: pydantic's error in plain words."""
    kind, given = detail["type"], detail.get("input")
    if kind == "value_error":
        return f"{name}: {detail['msg'].removeprefix('Value error, ')}"
    wanted = _WANTED.get(kind)
    if kind == "literal_error":
        wanted = f"must be {detail['ctx']['expected']}"
    elif kind in _LIMITS:
        words, bound = _LIMITS[kind]
        wanted = words.format(detail["ctx"][bound])
    if wanted is None:
        # A kind that no key has today: better pydantic's words than none.
        return f"{name}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"
    if kind in ("missing", "string_too_short"):
        return f"{name} {wanted}"
    return f"{name} {wanted}{_instead(kind, given)}"


def _instead(kind: str, given: object) -> str:
    """Return what stands there instead of what is wanted, and what to write where that is clear."""
    if given is None:
        return "; nothing stands there"
    if kind == "string_type" and isinstance(given, bool | int | float):
        return f", not {shown(given)}: put it in quotes"
    if kind == "tuple_type" and isinstance(given, str) and len(given) < 60:
        return f", not {shown(given)}: write [{given}]"
    return f", not {shown(given)}"


def shown(value: object) -> str:
    """Return a value as the file may have it, cut to what fits in a sentence."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping of keys" if value else "{}"
    if isinstance(value, list | tuple):
        text = f"the list [{', '.join(map(shown, value))}]"
        return text if len(text) <= 60 else f"a list of {len(value)} values"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "...'"


def without_urls(text: str) -> str:
    """Return a sentence without anything of the URLs in it but their schemes."""
    return re.sub(r"(://)[^\s]+", r"\1***", text)


def describe_yaml(problem: str, context: str, line: str, column: int) -> str:
    """Return what is wrong with a line of YAML: libyaml's error in plain words.

    ``column`` is where it stumbled, from 0.
    """
    rest = line[column:]
    if "\t" in (line[:column] + rest[:1]) and not line[:column].strip():
        return "a tab: YAML is indented with spaces"
    if problem == "found character that cannot start any token":
        return f"a value that begins with {rest[:1]} must stand in quotes"
    if problem == "found undefined alias":
        word = re.match(r"\*\S*", rest)
        return f"{word.group() if word else 'it'} is the name of nothing: put it in quotes"
    if problem == "found unexpected end of stream" or "expected ',' or" in problem:
        kinds = {"scalar": "the text in quotes", "sequence": "the list `[`", "mapping": "the `{`"}
        opened = next((words for kind, words in kinds.items() if kind in context), "what")
        return f"{opened} that begins here has no end"
    return _YAML.get(problem, problem)
