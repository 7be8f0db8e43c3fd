"""What can be typed after ``cacheadmin``: commands, options and what they take.

Completion files hold all of it as text, so that pressing TAB starts no Python:
it is quick, and root's shell runs nothing that a cache could have an influence
on. Only names are looked up: of policies, in the folders where bare names are
found, and of runs, in the quarantine of the policy that was typed. What has
another shape than such a name is left out. ``make completions`` writes the
files; a test tells when they are out of date.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from cacheadmin.values import frozen

POLICY = "policy"
RUN = "run"
FILE = "file"
OTHER = "other"

# Arguments by what they are called in --help; what is not here can't be completed.
_KINDS = {"POLICY": POLICY, "FILE": FILE, "PATH": FILE, "RUN": RUN}


@frozen
class CalledOption:
    """One option with all its spellings."""

    names: tuple[str, ...]
    """Its spellings, with their dashes (``-h``, ``--help``)."""
    help: str
    """What it does, in one sentence without a full stop."""
    takes: str = ""
    """What its value is: ``POLICY``, ``FILE`` or ``OTHER``; "" where it takes none."""
    choices: tuple[str, ...] = ()
    """The values that it may have; empty for any."""
    repeats: bool = False
    """Whether it may be given more than once."""


@frozen
class Call:
    """One command, or one group of commands."""

    words: tuple[str, ...]
    """The words that call it, without the program's name; empty for the program itself."""
    help: str
    """What it does, in one sentence without a full stop."""
    options: tuple[CalledOption, ...]
    """Its options, ``--help`` the last."""
    commands: tuple[tuple[str, str], ...] = ()
    """The commands of a group: (name, help); empty for a command."""
    arguments: tuple[str, ...] = ()
    """What its arguments are, in order: ``POLICY``, ``RUN``, ``FILE`` or ``OTHER``."""
    repeats: bool = False
    """Whether the last argument may be given more than once."""


def calls_of(
    command: Any, choices: Mapping[str, tuple[str, ...]], words: tuple[str, ...] = ()
) -> Iterator[Call]:
    """Yield every call of a program, given as click's command, groups before their commands.

    ``choices`` are the values of options that are free text to the program,
    by the option.
    """
    inner = {
        name: found
        for name, found in getattr(command, "commands", {}).items()
        if not getattr(found, "hidden", False)
    }
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    yield Call(
        words,
        _sentence(command.get_short_help_str(100)),
        (*(_option(one, choices) for one in _options(command)), _HELP),
        tuple((name, _sentence(found.get_short_help_str(100))) for name, found in inner.items()),
        tuple(_KINDS.get(argument.metavar or "", OTHER) for argument in arguments),
        any(argument.nargs == -1 for argument in arguments),
    )
    for name, found in inner.items():
        yield from calls_of(found, choices, (*words, name))


_HELP = CalledOption(("-h", "--help"), "Print help and leave")


def _options(command: Any) -> Iterator[Any]:
    for parameter in command.params:
        if parameter.param_type_name == "option" and not parameter.hidden:
            yield parameter


def _option(parameter: Any, known: Mapping[str, tuple[str, ...]]) -> CalledOption:
    names = (*parameter.opts, *parameter.secondary_opts)
    text = _sentence(parameter.help or "")
    if parameter.is_flag or parameter.count:
        return CalledOption(names, text)
    choices = _choices(parameter) or known.get(names[0], ())
    takes = POLICY if "--policy" in names else OTHER if choices else FILE
    return CalledOption(names, text, takes, choices, parameter.multiple)


def _choices(parameter: Any) -> tuple[str, ...]:
    # typer 0.29 keeps the annotation, before it made one of click's types of it.
    descriptor = getattr(parameter, "type_descriptor", None)
    members = getattr(descriptor, "annotation", None)
    if isinstance(members, type) and issubclass(members, Enum):
        return tuple(str(member.value) for member in members)
    kept = getattr(parameter, "type", None)
    # What checks the names itself knows them too; click keeps it as ``func``.
    parser = getattr(getattr(descriptor, "parameter_info", None), "parser", None)
    for known in (parser, kept, getattr(kept, "func", None)):
        if choices := getattr(known, "choices", ()):
            return tuple(map(str, choices))
    return ()


def _sentence(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
