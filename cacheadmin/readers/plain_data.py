"""Answers as plain data: frozen dataclasses as lists and back, each checked by its type.

What comes from a process that has parsed hostile input is never unpickled. It
is msgpack, of the shape that the type declares, or it is refused.
"""

from __future__ import annotations

import dataclasses
import operator
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from typing import Any

import msgpack

from cacheadmin.values import names_of

_SCALARS = frozenset({bool, int, float, str, bytes})

Decoder = Callable[[Any], Any]


class NotThatShapeError(ValueError):
    """Data that is not what its type declares."""


def pack(value: Any) -> bytes:
    """Return dataclasses, enums, collections and plain data as bytes.

    Strings may hold what no encoding has (paths).
    """
    packed: bytes = msgpack.packb(
        value, use_bin_type=True, unicode_errors="surrogateescape", default=_one_to_plain
    )
    return packed


def unpack(data: bytes) -> Any:
    """Return the plain data of ``pack``. Raises ValueError for anything else."""
    try:
        return msgpack.unpackb(
            data, raw=False, strict_map_key=False, use_list=True, unicode_errors="surrogateescape"
        )
    except (msgpack.UnpackException, ValueError, TypeError, RecursionError) as error:
        raise NotThatShapeError(str(error)) from None


def _one_to_plain(value: Any) -> Any:
    """Return what msgpack knows for a value that it does not: what is inside comes here again."""
    encode = _ENCODERS.get(type(value))
    if encode is None:
        encode = _ENCODERS[type(value)] = _encoder(type(value))
    return encode(value)


_ENCODERS: dict[type, Callable[[Any], Any]] = {}


def _encoder(kind: Any) -> Callable[[Any], Any]:
    if issubclass(kind, Enum):
        return operator.attrgetter("value")
    if _is_record(kind):
        names = _names(kind)
        if len(names) < 2:
            return lambda value: [getattr(value, name) for name in names]
        return operator.attrgetter(*names)
    if issubclass(kind, Mapping):
        return dict
    if issubclass(kind, set | frozenset):
        return list
    raise TypeError(f"no plain data: {kind.__name__}")


def from_plain(shape: Any, value: Any) -> Any:
    """Return the value of a type that ``pack`` made plain. Raises NotThatShapeError."""
    return decoder(shape)(value)


def decoder(shape: Any) -> Decoder:
    """Return `from_plain` of one type, for many values of it."""
    decode = _decoder(shape)

    def checked(value: Any) -> Any:
        try:
            return decode(value)
        except (TypeError, ValueError) as error:
            raise NotThatShapeError(str(error)) from None

    return checked


@cache
def _names(shape: Any) -> tuple[str, ...]:
    names = names_of(shape)
    return tuple(one.name for one in dataclasses.fields(shape)) if names is None else names


def _is_record(shape: Any) -> bool:
    return names_of(shape) is not None or dataclasses.is_dataclass(shape)


@cache
def _decoder(shape: Any) -> Decoder:
    """Return what makes values of one type; each type is looked at once."""
    if isinstance(shape, typing.NewType):
        return _decoder(shape.__supertype__)
    if shape is type(None):
        return _nothing
    if shape in _SCALARS:
        return _scalar(shape)
    if shape is object:
        return _anything
    if isinstance(shape, type) and issubclass(shape, Enum):
        return shape
    return _record(shape) if _is_record(shape) else _collection(shape)


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


def _anything(value: Any) -> Any:
    """Return plain data of any shape: msgpack makes no other."""
    return value


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
    if _SCALARS.issuperset(inner):
        return _scalars(list(inner))
    decoders = [_decoder(one) for one in inner]

    def decode(value: Any) -> Any:
        pairs = zip(decoders, _list(value), strict=True)
        return tuple(decoder(one) for decoder, one in pairs)

    return decode


def _scalars(kinds: list[type]) -> Decoder:
    """Decode a tuple of scalars: without a call for each."""

    def decode(value: Any) -> Any:
        if list(map(type, _list(value))) != kinds:
            raise NotThatShapeError("something else where scalars belong")
        return tuple(value)

    return decode


def _many(kind: Any, inner: Decoder) -> Decoder:
    return lambda value: kind(inner(one) for one in _list(value))


def _mapping(key: Decoder, inner: Decoder) -> Decoder:
    def decode(value: Any) -> Any:
        if type(value) is not dict:
            raise NotThatShapeError(f"{type(value).__name__} where a mapping belongs")
        return {key(name): inner(one) for name, one in value.items()}

    return decode


class _NoScalar:
    """Stands for the type of a field that is no scalar: no value has it."""


def _record(shape: Any) -> Decoder:
    hints = typing.get_type_hints(shape)
    kinds = [hints[name] for name in _names(shape)]
    # Most fields are scalars: those are checked without a call.
    fields = [(_scalar_of(kind), _decoder(kind)) for kind in kinds]

    def decode(value: Any) -> Any:
        return shape(
            *[
                inner if type(inner) is scalar else decoder(inner)
                for (scalar, decoder), inner in zip(fields, _list(value), strict=True)
            ]
        )

    return decode


def _scalar_of(kind: Any) -> type:
    while isinstance(kind, typing.NewType):
        kind = kind.__supertype__
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        inner = [_scalar_of(one) for one in typing.get_args(kind) if one is not type(None)]
        return inner[0] if len(inner) == 1 else _NoScalar
    return kind if kind in _SCALARS else _NoScalar


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise NotThatShapeError(f"{type(value).__name__} where a list belongs")
    return value
