"""Values: classes of fields that never change, made quickly.

    @frozen
    class Pointer:
        path: str
        archives: frozenset[ArchiveId] = frozenset()

A command that lives for a third of a second makes two hundred such classes.
``@dataclass(frozen=True, slots=True)`` compiles six functions for each, which
took a quarter of that time; here ``__init__`` alone is compiled, and the others
are shared. They behave as those of `dataclasses`, and ``fields`` and ``replace``
of that module work, with one difference: that nothing is assigned is checked by
mypy, and not again at run time, which would more than double the cost of making
a value.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

_Value = TypeVar("_Value")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[_Value], /) -> type[_Value]:
    """Make a class a value; what the class itself defines stays."""
    own = cls.__dict__
    made: Any = dataclass(eq=False, repr=False, slots=True)(cls)
    compared = [one.name for one in fields(made) if one.compare]
    made._compared = attrgetter(*compared) if compared else type
    made._shown = tuple(one.name for one in fields(made) if one.repr)
    for name, shared in (("__eq__", _equals), ("__hash__", _hash), ("__repr__", _shown)):
        if own.get(name) is None:
            setattr(made, name, shared)
    return made  # type: ignore[no-any-return]


def _equals(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self._compared(self) == self._compared(other)


def _hash(self: Any) -> int:
    return hash(self._compared(self))


def _shown(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._shown)
    return f"{type(self).__qualname__}({shown})"
