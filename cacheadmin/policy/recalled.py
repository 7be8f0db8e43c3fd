"""Checked policies as plain data, and back: what the model made of a file, without pydantic.

Importing pydantic and building the model takes longer than everything else that
``preflight`` of a small cache does. What comes of it rests on the file's content
alone, so it can be remembered by that content (``compiled_policies``).

A policy that holds more than plain data is not remembered: secrets (``notify.urls``)
are in no second file, what is said of audits keeps the model's own classes, and
``run_as`` is checked against the caller each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from cacheadmin.policy.meaning import (
    BudgetMeaning,
    HostsMeaning,
    NotifyMeaning,
    ScanLimitsMeaning,
    TrialMeaning,
)
from cacheadmin.policy.quantities import Share

if TYPE_CHECKING:
    from cacheadmin.policy.model import Policy


class NotPlainError(Exception):
    """A policy holds what is no plain data."""


class Recalled:
    """A section of a policy that was checked before; it has the values of the model's section."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a policy does not change: {name}")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__))


class _Budget(BudgetMeaning, Recalled):
    pass


class _Trial(TrialMeaning, Recalled):
    pass


class _Hosts(HostsMeaning, Recalled):
    pass


class _Notify(NotifyMeaning, Recalled):
    pass


class _ScanLimits(ScanLimitsMeaning, Recalled):
    pass


class _AuditSettings(Recalled):
    @property
    def rules(self) -> dict[str, Any]:
        """What is said of rules: nothing, or the policy were not remembered."""
        return {}


_CLASSES: dict[str, type[Recalled]] = {
    "Budget": _Budget,
    "Trial": _Trial,
    "Hosts": _Hosts,
    "Notify": _Notify,
    "ScanLimits": _ScanLimits,
    "AuditSettings": _AuditSettings,
}


def to_plain(policy: Policy) -> Any:
    """Return a policy as plain data. Raises NotPlainError where it must not be remembered."""
    if policy.run_as is not None or policy.audit.rules or policy.audit.suppress:
        raise NotPlainError
    return _plain(policy)


def from_plain(data: Any) -> Policy:
    """Return the policy of plain data. Raises ValueError, TypeError or KeyError for other data."""
    policy = _value(data)
    if not isinstance(policy, Recalled):
        raise TypeError("no policy")
    return cast("Policy", policy)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple):
        return ["tuple", [_plain(one) for one in value]]
    if isinstance(value, timedelta):
        return ["time", value.days, value.seconds, value.microseconds]
    if isinstance(value, Share):
        return ["share", value.percent]
    if isinstance(value, dict):
        return ["map", {str(key): _plain(one) for key, one in value.items()}]
    fields = getattr(type(value), "model_fields", None)
    if fields is None:
        raise NotPlainError
    return ["section", type(value).__name__, {one: _plain(getattr(value, one)) for one in fields}]


def _value(data: Any) -> Any:
    if not isinstance(data, list):
        return data
    kind, *rest = data
    if kind == "section":
        name, fields = rest
        values = {key: _value(one) for key, one in fields.items()}
        return _CLASSES.get(name, Recalled)(values)
    if kind == "map":
        return {key: _value(one) for key, one in rest[0].items()}
    if kind == "tuple":
        return tuple(_value(one) for one in rest[0])
    if kind == "time":
        return timedelta(*rest)
    if kind == "share":
        return Share(*rest)
    raise ValueError("no plain data of a policy")
