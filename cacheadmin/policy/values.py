"""The kinds of values a policy may hold, as pydantic reads, prints and describes them.

Durations, sizes and shares are written with their units (``quantities``);
paths are absolute, releases have three numbers, dates are days.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    WithJsonSchema,
)

from cacheadmin.packages.names import parse_pattern
from cacheadmin.policy.host_names import name_problem
from cacheadmin.policy.quantities import (
    DURATION_PATTERN,
    SHARE_PATTERN,
    SIZE_PATTERN,
    Share,
    duration_words,
    parse_date,
    parse_duration,
    parse_share,
    parse_size,
)
from cacheadmin.uv.releases import parse_release

_URL_PATTERN = r"^[A-Za-z][A-Za-z0-9+.-]*://\S+$"


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else _reject_number(value, "30d")


def _size(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return parse_size(value) if isinstance(value, str) else _reject_number(value, "200GiB")


def _size_or_share(value: object) -> object:
    if isinstance(value, str) and value.strip().endswith("%"):
        return parse_share(value)
    return _size(value)


def off(value: object) -> object:
    """Return None for the word that turns something off, else the value."""
    return None if value in ("off", False) else value


def _reject_number(value: object, example: str) -> object:
    if isinstance(value, timedelta | Share):
        return value
    raise ValueError(f"write a number with its unit, such as {example}")


def _absolute(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f"{value!r} is relative: write an absolute path")
    if "\0" in value or any(part in (".", "..") for part in value.split("/")):
        raise ValueError(f"{value!r} must not hold '.' or '..' parts or NUL")
    return value.rstrip("/") or "/"


def _package_pattern(value: str) -> str:
    parse_pattern(value)
    return value


def _expected_host(value: str) -> str:
    problem = name_problem(value)
    if problem:
        raise ValueError(f"{value!r} {problem}")
    return value


def _secret_url(value: str) -> str:
    if re.match(_URL_PATTERN, value) is None:
        raise ValueError("this is no URL: write SCHEME://..., such as mailto://localhost")
    return value


def masked_url(url: str) -> str:
    """Return what may be shown of a URL that holds secrets: its scheme."""
    scheme, separator, _ = url.partition("://")
    return f"{scheme}://***" if separator else "***"


def _release(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and parse_release(value) is None:
        raise ValueError(f"{value!r} is no uv release: write three numbers, such as 0.8.19")
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(duration_words),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["30d", "1d 12h"]}),
]
OptionalDuration = Annotated[
    timedelta | None,
    BeforeValidator(lambda value: None if off(value) is None else _duration(value)),
    PlainSerializer(lambda value: "off" if value is None else duration_words(value)),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, {"enum": ["off", False, None]}]}
    ),
]
Size = Annotated[
    int,
    BeforeValidator(_size),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": SIZE_PATTERN}, {"type": "integer", "minimum": 0}]}
    ),
]
SizeOrShare = Annotated[
    int | Share,
    BeforeValidator(_size_or_share),
    PlainSerializer(lambda value: f"{value.percent:g}%" if isinstance(value, Share) else value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": SIZE_PATTERN},
                {"type": "string", "pattern": SHARE_PATTERN},
                {"type": "integer", "minimum": 0},
            ]
        }
    ),
]
# No part of a path may be `.` or `..`.
_PATH_PATTERN = r"^/(?!(.*/)?\.\.?(/|$))"

AbsolutePath = Annotated[
    str,
    Field(json_schema_extra={"pattern": _PATH_PATTERN}),
    BeforeValidator(lambda value: _absolute(value) if isinstance(value, str) else value),
]
AbsolutePathOrOff = Annotated[
    str,
    BeforeValidator(
        lambda value: _absolute(value) if isinstance(value, str) and value != "off" else value
    ),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": _PATH_PATTERN}, {"const": "off"}]}),
]
Release = Annotated[
    str,
    Field(json_schema_extra={"pattern": r"^\d+\.\d+\.\d+$"}),
    BeforeValidator(_release),
]
PackagePattern = Annotated[
    str,
    BeforeValidator(lambda value: _package_pattern(value) if isinstance(value, str) else value),
]
ExpectedHost = Annotated[
    str,
    BeforeValidator(lambda value: _expected_host(value) if isinstance(value, str) else value),
]
SecretUrl = Annotated[
    SecretStr,
    # Nothing but its scheme is ever shown: passwords and tokens stand anywhere in such URLs.
    BeforeValidator(lambda value: _secret_url(value) if isinstance(value, str) else value),
    PlainSerializer(lambda value: masked_url(value.get_secret_value())),
    WithJsonSchema({"type": "string", "pattern": _URL_PATTERN, "writeOnly": True}),
]
Date = Annotated[
    date,
    BeforeValidator(lambda value: parse_date(value) if isinstance(value, str) else value),
    PlainSerializer(lambda value: value.isoformat()),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2027-06-30"]}),
]


class Section(BaseModel):
    """A part of a policy: frozen, and strict about its keys and types.

    Defaults are made by ``model_construct`` and schemas built on first use:
    every command imports this module, and start-up time is felt.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True, defer_build=True
    )
