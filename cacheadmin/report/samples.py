"""Fewer values than there are, for what has room for so many only."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


def thinned(values: Sequence[T], number: int) -> list[T]:
    """Return at most ``number`` (2 or more), evenly chosen, the first and the last among them."""
    if len(values) <= number:
        return list(values)
    step = (len(values) - 1) / (number - 1)
    return [values[round(index * step)] for index in range(number)]
