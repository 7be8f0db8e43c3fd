"""Answers as plain data: frozen dataclasses to lists and back, each checked by its type.

What comes from a process that has parsed hostile input is never unpickled. It
is msgpack, of the shape that the type declares, or it is refused.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from typing import Any

import msgpack

_SCALARS = (bool, int, float, str, bytes)

Decoder = Callable[[Any], Any]


class NotThatShapeError(ValueError):
    """Data that is not what its type declares."""


def pack(value: Any) -> bytes:
    """Return plain data as bytes; strings may hold what no encoding has (paths)."""
    packed: bytes = msgpack.packb(value, use_bin_type=True, unicode_errors="surrogateescape")
    return packed


def unpack(data: bytes) -> Any:
    """Return the plain data of ``pack``. Raises ValueError for anything else."""
    try:
        return msgpack.unpackb(
            data, raw=False, strict_map_key=False, use_list=True, unicode_errors="surrogateescape"
        )
    except (msgpack.UnpackException, ValueError, TypeError, RecursionError) as error:
        raise NotThatShapeError(str(error)) from None


def to_plain(value: Any) -> Any:
    """Return a value of dataclasses, enums and collections as plain data."""
    if value is None or type(value) in _SCALARS:
        return value
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [to_plain(getattr(value, name)) for name in _names(type(value))]
    if isinstance(value, Mapping):
        return {to_plain(key): to_plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(inner) for inner in value]
    raise TypeError(f"no plain data: {type(value).__name__}")


def from_plain(shape: Any, value: Any) -> Any:
    """Return the value of a type that ``to_plain`` made plain. Raises NotThatShapeError."""
    try:
        return _decoder(shape)(value)
    except (TypeError, ValueError) as error:
        raise NotThatShapeError(str(error)) from None


@cache
def _names(shape: Any) -> tuple[str, ...]:
    return tuple(one.name for one in dataclasses.fields(shape))


@cache
def _decoder(shape: Any) -> Decoder:
    """Return what makes values of one type; each type is looked at once."""
    if isinstance(shape, typing.NewType):
        return _decoder(shape.__supertype__)
    if shape is type(None):
        return _nothing
    if shape in _SCALARS:
        return _scalar(shape)
    if isinstance(shape, type) and issubclass(shape, Enum):
        return shape
    return _record(shape) if dataclasses.is_dataclass(shape) else _collection(shape)


def _collection(shape: Any) -> Decoder:
    origin, inner = typing.get_origin(shape), typing.get_args(shape)
    if origin in (typing.Union, types.UnionType):
        return _optional(inner)
    if origin is tuple and not (len(inner) == 2 and inner[1] is Ellipsis):
        return _fixed(inner)
    if origin in (tuple, list, frozenset, set):
        return _many(origin, _decoder(inner[0]))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(_decoder(inner[0]), _decoder(inner[1]))
    raise TypeError(f"no plain data has the type {shape}")


def _nothing(value: Any) -> None:
    if value is not None:
        raise NotThatShapeError("something where nothing belongs")


def _scalar(kind: type) -> Decoder:
    def decode(value: Any) -> Any:
        if type(value) is not kind:
            raise NotThatShapeError(f"{type(value).__name__} where {kind.__name__} belongs")
        return value

    return decode


def _optional(inner: tuple[Any, ...]) -> Decoder:
    kinds = [one for one in inner if one is not type(None)]
    if len(kinds) != 1 or len(inner) != 2:
        raise TypeError("only `X | None` is plain data")
    decode = _decoder(kinds[0])
    return lambda value: None if value is None else decode(value)


def _fixed(inner: tuple[Any, ...]) -> Decoder:
    decoders = [_decoder(one) for one in inner]

    def decode(value: Any) -> Any:
        pairs = zip(decoders, _list(value), strict=True)
        return tuple(decoder(one) for decoder, one in pairs)

    return decode


def _many(kind: Any, inner: Decoder) -> Decoder:
    return lambda value: kind(inner(one) for one in _list(value))


def _mapping(key: Decoder, inner: Decoder) -> Decoder:
    def decode(value: Any) -> Any:
        if type(value) is not dict:
            raise NotThatShapeError(f"{type(value).__name__} where a mapping belongs")
        return {key(name): inner(one) for name, one in value.items()}

    return decode


def _record(shape: Any) -> Decoder:
    hints = typing.get_type_hints(shape)
    fields = [(name, _decoder(hints[name])) for name in _names(shape)]

    def decode(value: Any) -> Any:
        pairs = zip(fields, _list(value), strict=True)
        return shape(**{name: inner(one) for (name, inner), one in pairs})

    return decode


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise NotThatShapeError(f"{type(value).__name__} where a list belongs")
    return value
