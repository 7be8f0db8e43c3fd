"""Parse a policy, and say precisely what is wrong with it.

All errors of a file are reported together, each with file, line, column, the
key and what is wanted.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from cacheadmin.errors import PolicyInvalid
from cacheadmin.policy.loaded import LoadedPolicy, origins_of
from cacheadmin.policy.messages import describe, without_urls
from cacheadmin.policy.model import Policy
from cacheadmin.policy.positions import Key, Positioned, read_yaml
from cacheadmin.policy.state_place import state_problem
from cacheadmin.policy.unsupported import unsupported_keys


def parse_policy(content: bytes, path: str) -> LoadedPolicy:
    """Parse a policy file's content; ``path`` is for errors. Raises PolicyInvalid."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise PolicyInvalid(f"{path}:{line}: not UTF-8 text") from None
    document = read_yaml(text, path)
    if not isinstance(document.value, dict):
        raise PolicyInvalid(f"{path}:1:1: a policy is a mapping of keys, such as `version: 1`")
    try:
        policy = Policy.model_validate(_lists_to_tuples(document.value))
    except ValidationError as error:
        raise invalid(path, sorted(_problems(error, document))) from None
    problems = sorted(
        (
            *_semantic(policy, document),
            *_registry(policy, document),
            *_state(policy, document),
            *_unsupported(policy, document),
        )
    )
    if problems:
        raise invalid(path, problems)
    positions = {
        ".".join(str(part) for part in key): position
        for key, position in document.positions.items()
    }
    return LoadedPolicy(policy, path, origins_of(path, positions), positions)


def built_in_policy(name: str, cache: str) -> Policy:
    """Return the policy that is in force where none is named."""
    return Policy(version=1, name=name, cache=cache)


Problem = tuple[int, int, str]


def invalid(path: str, problems: list[Problem]) -> PolicyInvalid:
    """Return the error that tells all problems of a file, in the order given."""
    lines = [f"{path}:{line}:{column}: {text}" for line, column, text in problems]
    return PolicyInvalid(lines[0], details=tuple(lines[1:]))


def _problems(error: ValidationError, document: Positioned) -> Iterator[Problem]:
    details: dict[Key, list[Mapping[str, Any]]] = {}
    for detail in error.errors(include_url=False):
        details.setdefault(_document_key(detail["loc"], document), []).append(detail)
    for key, own in details.items():
        below = any(len(other) > len(key) and other[: len(key)] == key for other in details)
        # Where a word or a mapping may stand, one of the two is what was meant.
        if below and all(one["type"] == "literal_error" for one in own):
            continue
        for text in dict.fromkeys(_describe(detail, key) for detail in _merged(own)):
            yield (*document.position(key), text)


def _merged(details: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return one error for a value that is neither the word nor the mapping it could be."""
    words = [one for one in details if one["type"] == "literal_error"]
    others = [one for one in details if one["type"].startswith(("model_", "dict_"))]
    if not words or not others:
        return details
    expected = f"{words[0]['ctx']['expected']}, or a mapping of keys"
    return [{**words[0], "ctx": {"expected": expected}}]


def _lists_to_tuples(value: Any) -> Any:
    # Strict models want tuples where YAML has lists.
    if isinstance(value, dict):
        return {key: _lists_to_tuples(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return tuple(_lists_to_tuples(item) for item in value)
    return value


def _document_key(location: tuple[int | str, ...], document: Positioned) -> Key:
    """Return the part of pydantic's location that stands in the file.

    Unions add the names of their members, which no file has.
    """
    key: Key = ()
    for part in location:
        if (*key, part) in document.positions:
            key = (*key, part)
    last = location[-1] if location else ""
    if key and key[-1] == last:
        return key
    return (*key, last) if isinstance(last, str) and last in _all_keys() else key


def _describe(detail: Mapping[str, Any], key: Key) -> str:
    name = ".".join(str(part) for part in key) or "the policy"
    if detail["type"] == "extra_forbidden":
        text = f"unknown key {name}{nearest(str(detail['loc'][-1]), _all_keys())}"
    else:
        text = describe(detail, name)
    # What stands in the place of a secret may be one.
    return without_urls(text) if key[:1] == ("notify",) else text


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``: did you mean WORD?`` for a known word that looks alike; else nothing."""
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f": did you mean {close[0]}?" if close else ""


def _all_keys() -> set[str]:
    keys: set[str] = set()
    waiting: list[type[BaseModel]] = [Policy]
    while waiting:
        for name, found in waiting.pop().model_fields.items():
            keys.add(name)
            waiting += _models_in(found.annotation)
    return keys


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for inner in getattr(annotation, "__args__", ()) for m in _models_in(inner)]


def _semantic(policy: Policy, document: Positioned) -> Iterator[Problem]:
    quarantine = policy.quarantine.path
    if quarantine is not None:
        where = document.position(("quarantine", "path"))
        inside = quarantine == policy.cache or quarantine.startswith(policy.cache + "/")
        ours = quarantine.startswith(f"{policy.cache}/.cacheadmin/")
        if inside and not ours:
            problem = "lies in the cache, where any user's `uv cache prune` would delete it"
            yield (*where, f"quarantine.path: {quarantine} {problem}")
        if policy.cache.startswith(quarantine.rstrip("/") + "/"):
            yield (*where, f"quarantine.path: {quarantine} holds the cache itself")


def _registry(policy: Policy, document: Positioned) -> Iterator[Problem]:
    registry = policy.venvs.registry
    if registry is not None and f"{registry}/".startswith(f"{policy.cache}/"):
        # Registrations and leases would be gone, and what they keep with them.
        problem = "lies in the cache, where root's `uv cache prune` deletes it, and a user's fails"
        where = document.position(("venvs", "registry"))
        yield (*where, f"venvs.registry: {registry} {problem}")


def _state(policy: Policy, document: Positioned) -> Iterator[Problem]:
    if policy.state is not None and (problem := state_problem(policy.state, policy.cache)):
        # A URL of a database may hold a password.
        named = policy.state if policy.state.startswith("sqlite") else policy.state.split(":")[0]
        yield (*document.position(("state",)), f"state: {named!r} {problem}")


def _unsupported(policy: Policy, document: Positioned) -> Iterator[Problem]:
    for key in unsupported_keys(policy):
        where = document.position(tuple(key.split(".")))
        yield (*where, f"{key}: not yet supported by this release of cacheadmin")
