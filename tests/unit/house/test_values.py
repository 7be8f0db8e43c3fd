"""Values behave as frozen dataclasses do, in all that the product uses of these."""

from __future__ import annotations

import copy
import pickle
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, ClassVar

import pytest

from cacheadmin.values import frozen


@frozen
class Ours:
    """One of ours."""

    name: str
    size: int = 0
    seen: list[str] = field(default_factory=list, compare=False)
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Theirs:
    """The same, made by the standard library."""

    name: str
    size: int = 0
    seen: list[str] = field(default_factory=list, compare=False)
    secret: str = field(default="", repr=False)


@frozen
class Empty:
    """No fields at all."""


@frozen
class Named:
    """One field, and words of its own."""

    name: str

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def __hash__(self) -> int:
        return 7


@frozen
class Further(Ours):
    """One that inherits."""

    more: int = 1
    size: int = 5
    limit: ClassVar[int] = 3


@dataclass(frozen=True, slots=True)
class TheirsFurther(Theirs):
    """The same, made by the standard library."""

    more: int = 1
    size: int = 5
    limit: ClassVar[int] = 3


def test_all_that_is_public_equals_the_standard_librarys() -> None:
    pairs: list[tuple[Any, Any]] = [
        (Ours("a"), Theirs("a")),
        (Ours("a", 2, ["x"], "y"), Theirs("a", 2, ["x"], "y")),
    ]
    for one, other in pairs:
        assert repr(one) == repr(other).replace("Theirs", "Ours")
        assert hash(one) == hash(other)
        assert [f.name for f in fields(one)] == [f.name for f in fields(other)]
        assert one.__match_args__ == other.__match_args__
        assert replace(one, size=9).size == 9
        assert not hasattr(one, "__dict__")
        with pytest.raises(TypeError, match="missing 1 required positional argument"):
            type(one)()


def test_a_class_that_inherits_has_the_fields_of_both_in_the_standard_librarys_order() -> None:
    one, other = Further("a", more=2), TheirsFurther("a", more=2)
    for told in ("name", "type", "default", "repr", "compare"):
        assert [getattr(f, told) for f in fields(one)] == [getattr(f, told) for f in fields(other)]
    assert repr(replace(one, size=9)) == repr(replace(other, size=9)).replace("Theirs", "")
    assert asdict(one) == asdict(other)
    assert is_dataclass(Further) and Further.limit == 3
    assert [f.name for f in fields(Ours)] == [f.name for f in fields(Theirs)]


def test_equal_by_what_is_compared_and_by_class() -> None:
    assert Ours("a", 1, ["x"]) == Ours("a", 1, ["y"])
    assert Ours("a", 1) != Ours("a", 2)
    assert Ours("a", secret="x") != Ours("a", secret="y")
    assert Ours("a") != Theirs("a")
    assert Ours("a") != "a"
    assert Empty() == Empty()
    assert len({Empty(), Empty(), Ours("a"), Ours("a", seen=["x"])}) == 2
    assert Further("a", more=2) != Further("a", more=3)
    assert Further("a") != Ours("a")
    assert repr(Further("a", more=2)) == "Further(name='a', size=5, seen=[], more=2)"


def test_what_a_class_defines_itself_stays() -> None:
    assert repr(Named("x")) == "<x>"
    assert hash(Named("x")) == 7
    assert Named("x") == Named("x")


def test_values_are_copied_and_pickled() -> None:
    one = Ours("a", 3, ["x"], "y")
    for other in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert other == one
        assert other.seen == ["x"]
