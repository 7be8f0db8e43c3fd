"""Values: classes of fields that never change, made quickly.

    @frozen
    class Pointer:
        path: str
        archives: frozenset[ArchiveId] = frozenset()

A command that lives for a third of a second makes two hundred such classes, and
values of some forty. ``@dataclass(frozen=True, slots=True)`` compiles six functions
for each and looks at every field, which took a quarter of that time. Here a class
is given its slots and no more: ``__init__`` is compiled when the first value is made,
what `dataclasses` knows of a class is made when ``fields`` or ``replace`` of that module
first ask for it, and the other functions are shared. All behave as there, with one
difference: that nothing is assigned is checked by mypy, and not again at run time,
which would more than double the cost of making a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, dataclass, field
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

_Value = TypeVar("_Value")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[_Value], /) -> type[_Value]:
    """Make a class a value; what the class itself defines stays.

    Its module has to postpone annotations (``from __future__ import annotations``).
    """
    content = dict(cls.__dict__)
    inherited: dict[str, Any] = {}
    for base in reversed(cls.__mro__[1:]):
        inherited |= base.__dict__.get("_held", {})
    # What stands beside a name: a default, a `field`, or MISSING.
    added = {
        name: content.pop(name, MISSING)
        for name, kind in cls.__annotations__.items()
        if not kind.startswith("ClassVar")
    }
    held = inherited | added
    compared = [name for name, one in held.items() if not _is_left_out(one, "compare")]
    for name in ("__dict__", "__weakref__"):
        content.pop(name, None)
    described = content["__dataclass_fields__"] = _FieldsWhenAsked()
    content["__slots__"] = tuple(name for name in added if name not in inherited)
    content["__match_args__"] = tuple(held)
    content["_held"] = held
    content["_compared"] = attrgetter(*compared) if compared else type
    content["_shown"] = tuple(name for name, one in held.items() if not _is_left_out(one, "repr"))
    for name, shared in (("__eq__", _equals), ("__hash__", _hash), ("__repr__", _shown)):
        if content.get(name) is None:
            content[name] = shared
    metaclass: Any = type(cls)
    made: Any = metaclass(cls.__name__, cls.__bases__, content)
    made.__qualname__ = cls.__qualname__
    described.cls = made
    if "__init__" not in content:
        made.__init__ = _compiled_when_called(made)
    return made  # type: ignore[no-any-return]


def _is_left_out(default: Any, of: str) -> bool:
    return isinstance(default, Field) and not getattr(default, of)


class _FieldsWhenAsked:
    """What `dataclasses` knows of the fields of a class: it is asked when it is needed first."""

    cls: Any
    """The class."""

    def __get__(self, _value: object, _class: type) -> Any:
        cls = self.cls
        kinds: dict[str, str] = {}
        for base in reversed(cls.__mro__):
            kinds |= {name: kind for name, kind in _annotations(base) if name in cls._held}
        content = {name: one for name, one in cls._held.items() if one is not MISSING}
        content |= {"__annotations__": kinds, "__module__": cls.__module__, "__doc__": "A twin."}
        twin: Any = dataclass(init=False, eq=False, repr=False)(type(cls.__name__, (), content))
        cls.__dataclass_fields__ = twin.__dataclass_fields__
        return cls.__dataclass_fields__


def _annotations(cls: type) -> Iterable[tuple[str, str]]:
    return cls.__annotations__.items() if "_held" in cls.__dict__ else ()


def names_of(cls: Any) -> tuple[str, ...] | None:
    """Return the fields of a class of values, without asking `dataclasses`; None for another."""
    held = getattr(cls, "_held", None) if isinstance(cls, type) else None
    return None if held is None else tuple(held)


def _compiled_when_called(cls: Any) -> Callable[..., None]:
    def __init__(self: Any, *values: Any, **named: Any) -> None:  # noqa: N807
        cls.__init__ = _compiled_init(cls)
        cls.__init__(self, *values, **named)

    return __init__


def _compiled_init(cls: Any) -> Callable[..., None]:
    """Return the ``__init__`` that `dataclasses` would make, without its annotations."""
    names: dict[str, Any] = {"_missing": MISSING}
    parameters, lines = ["self"], ["pass"]
    for number, (name, one) in enumerate(cls._held.items()):
        default, value = "", name
        factory = one.default_factory if isinstance(one, Field) else MISSING
        plain = one.default if isinstance(one, Field) else one
        if plain is not MISSING:
            default = f"=_default{number}"
            names[default[1:]] = plain
        elif factory is not MISSING:
            default = "=_missing"
            value = f"_made{number}() if {name} is _missing else {name}"
            names[f"_made{number}"] = factory
        parameters.append(name + default)
        lines.append(f"self.{name} = {value}")
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
