"""Command lines that need no typer: what cron, timers and monitoring call, and most people.

A call is plain where there is one way to read it: a command's exact name, exact
spellings of options, each value a word of its own or after ``=`` and such as the
option takes. Whatever is not plain at first sight, and all that ends in help or
in an error message, is left to typer (``read_plainly`` returns None). A test
holds both to the same reading of generated calls.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from inspect import Parameter, signature
from types import UnionType
from typing import Any, get_args, get_origin

from cacheadmin.cli.lazy_typer import Argument, Declaration, Option, hints_of
from cacheadmin.values import frozen

# Settings of a declaration that change nothing in how its value is read.
_FOR_HELP_ALONE = frozenset({"metavar", "help", "show_default"})

# Settings of options that count in every command: they are carried out, not handed on.
_EVERYWHERE = _FOR_HELP_ALONE | {"callback", "expose_value"}


class _NotPlainError(Exception):
    """Typer has to read this call."""


@frozen
class PlainCall:
    """A function to be called, and with what."""

    function: Callable[..., object]
    """The command."""
    values: Mapping[str, Any]
    """Its arguments by name; those that have their default are not in it."""
    before: tuple[tuple[Callable[[Any], None], Any], ...]
    """Callbacks of global options, each with its value, in the order they were given."""

    def run(self) -> object:
        """Carry it out; return what the command returns."""
        for callback, value in self.before:
            callback(value)
        return self.function(**self.values)


def read_plainly(
    arguments: Iterable[str],
    find: Callable[[str, str | None], Callable[..., object] | None],
    everywhere: Callable[..., object],
) -> PlainCall | None:
    """Return the call that arguments stand for; None where typer has to read them.

    ``find`` returns the function of a command, or of one in a group; None where
    there is none, or a second name is needed or too many. ``everywhere``
    declares the global options.
    """
    # A shell asks what could be typed next.
    if "_CACHEADMIN_COMPLETE" in os.environ:
        return None
    try:
        return _Reading(everywhere).read(list(arguments), find)
    except _NotPlainError:
        return None


class _Reading:
    def __init__(self, everywhere: Callable[..., object]) -> None:
        self._globals = _options_of(hints_of(everywhere))
        self._before: list[tuple[Callable[[Any], None], Any]] = []

    def read(
        self,
        words: list[str],
        find: Callable[[str, str | None], Callable[..., object] | None],
    ) -> PlainCall:
        words.reverse()
        while words and words[-1].startswith("-"):
            self._take(words, self._globals, {})
        if not words:
            raise _NotPlainError
        name = words.pop()
        function = find(name, None)
        if function is None:
            function = find(name, words.pop() if words else None)
        if function is None:
            raise _NotPlainError
        return PlainCall(function, self._values(function, words), tuple(self._before))

    def _values(self, function: Callable[..., object], words: list[str]) -> dict[str, Any]:
        hints = hints_of(function)
        # A command's own option of that name is what is meant.
        options = {**self._globals, **_options_of(hints)}
        values: dict[str, Any] = {}
        positional: list[str] = []
        while words:
            if words[-1].startswith("-"):
                self._take(words, options, values)
            else:
                positional.append(_word(words.pop()))
        _place(function, hints, positional, values)
        return values

    def _take(
        self,
        words: list[str],
        options: Mapping[str, tuple[str, Any, Declaration]],
        values: dict[str, Any],
    ) -> None:
        """Take one option and its value off the words."""
        spelled, equals, joined = words.pop().partition("=")
        if spelled not in options or (equals and not spelled.startswith("--")):
            raise _NotPlainError
        name, kind, declared = options[spelled]
        callback = declared.settings.get("callback")
        # A parser that tells its choices takes each of them as it is.
        choices = getattr(declared.settings.get("parser"), "choices", ())
        allowed = _FOR_HELP_ALONE if callback is None else _EVERYWHERE
        if not (allowed | {"parser"} if choices else allowed).issuperset(declared.settings):
            raise _NotPlainError
        if kind is bool:
            if equals:
                raise _NotPlainError
            value: Any = True
        else:
            if not equals and not words:
                raise _NotPlainError
            value = _value(_plain_kind(kind), _word(joined if equals else words.pop()))
            if choices and value not in choices:
                raise _NotPlainError
        if callback is not None:
            self._before.append((callback, value))
        elif _is_list(kind):
            values.setdefault(name, []).append(value)
        elif kind is not bool and name in values:
            raise _NotPlainError
        else:
            values[name] = value


def _options_of(hints: Mapping[str, Any]) -> dict[str, tuple[str, Any, Declaration]]:
    """Return options by their spellings: parameter, type and declaration.

    Raises _NotPlainError for those that can be turned off by a second name.
    """
    found: dict[str, tuple[str, Any, Declaration]] = {}
    for name, hint in hints.items():
        declared = hint.__metadata__[0]
        if isinstance(declared, Option):
            for spelled in declared.names:
                if "/" in spelled:
                    raise _NotPlainError
                found[spelled] = (name, hint.__origin__, declared)
    return found


def _place(
    function: Callable[..., object],
    hints: Mapping[str, Any],
    words: list[str],
    values: dict[str, Any],
) -> None:
    """Give the words that are no options to a command's arguments, in their order."""
    took_all = False
    for name, parameter in signature(function).parameters.items():
        hint = hints[name]
        is_argument = isinstance(hint.__metadata__[0], Argument)
        if is_argument and took_all:
            raise _NotPlainError
        if is_argument and words:
            if not _FOR_HELP_ALONE.issuperset(hint.__metadata__[0].settings):
                raise _NotPlainError
            kind = _plain_kind(hint.__origin__)
            if _is_list(hint.__origin__):
                values[name] = [_value(kind, word) for word in words]
                words, took_all = [], True
            else:
                values[name] = _value(kind, words[0])
                words = words[1:]
        elif parameter.default is Parameter.empty and name not in values:
            raise _NotPlainError
    if words:
        raise _NotPlainError


def _word(word: str) -> str:
    # Typer has rules for values that look like options, and for empty ones.
    if not word or word.startswith("-"):
        raise _NotPlainError
    return word


def _plain_kind(hint: Any) -> Any:
    """Return what a single value is: ``str`` for ``str | None`` and for ``list[str] | None``."""
    if isinstance(hint, UnionType):
        kinds = [one for one in get_args(hint) if one is not type(None)]
        if len(kinds) != 1:
            raise _NotPlainError
        hint = kinds[0]
    return get_args(hint)[0] if get_origin(hint) is list else hint


def _is_list(hint: Any) -> bool:
    return any(get_origin(one) is list for one in (hint, *get_args(hint)))


def _value(kind: Any, word: str) -> Any:
    if kind is str:
        return word
    if isinstance(kind, type) and issubclass(kind, Enum):
        for member in kind:
            if member.value == word:
                return member
    raise _NotPlainError
