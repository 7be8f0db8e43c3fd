"""Values: classes of fields that never change, made quickly.

    @frozen
    class Pointer:
        path: str
        archives: frozenset[ArchiveId] = frozenset()

A command that lives for a third of a second makes two hundred such classes, and
values of some forty. ``@dataclass(frozen=True, slots=True)`` compiles six functions
for each, which took a quarter of that time; here ``__init__`` alone is compiled,
when the first value is made, and the others are shared. They behave as those of
`dataclasses`, and ``fields`` and ``replace`` of that module work, with one
difference: that nothing is assigned is checked by mypy, and not again at run time,
which would more than double the cost of making a value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

_Value = TypeVar("_Value")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[_Value], /) -> type[_Value]:
    """Make a class a value; what the class itself defines stays."""
    own = cls.__dict__
    made: Any = dataclass(init=False, eq=False, repr=False, slots=True)(cls)
    if "__init__" not in own:
        made.__init__ = _compiled_when_called(made)
    compared = [one.name for one in fields(made) if one.compare]
    made._compared = attrgetter(*compared) if compared else type
    made._shown = tuple(one.name for one in fields(made) if one.repr)
    for name, shared in (("__eq__", _equals), ("__hash__", _hash), ("__repr__", _shown)):
        if own.get(name) is None:
            setattr(made, name, shared)
    return made  # type: ignore[no-any-return]


def _compiled_when_called(cls: Any) -> Callable[..., None]:
    def __init__(self: Any, *values: Any, **named: Any) -> None:  # noqa: N807
        cls.__init__ = _compiled_init(cls)
        cls.__init__(self, *values, **named)

    return __init__


def _compiled_init(cls: Any) -> Callable[..., None]:
    """Return the ``__init__`` that `dataclasses` would make, without its annotations."""
    names: dict[str, Any] = {"_missing": MISSING}
    parameters, lines = ["self"], ["pass"]
    for number, one in enumerate(fields(cls)):
        default, value = "", one.name
        if one.default is not MISSING:
            default = f"=_default{number}"
            names[default[1:]] = one.default
        elif one.default_factory is not MISSING:
            default = "=_missing"
            value = f"_made{number}() if {one.name} is _missing else {one.name}"
            names[f"_made{number}"] = one.default_factory
        parameters.append(one.name + default)
        lines.append(f"self.{one.name} = {value}")
    text = f"def __init__({', '.join(parameters)}):\n " + "\n ".join(lines)
    exec(text, names)  # noqa: S102 - names of fields, which Python has parsed
    made: Callable[..., None] = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__module__ = cls.__module__
    return made


def _equals(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self._compared(self) == self._compared(other)


def _hash(self: Any) -> int:
    return hash(self._compared(self))


def _shown(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._shown)
    return f"{type(self).__qualname__}({shown})"
