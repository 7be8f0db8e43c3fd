"""typer's names for those who declare commands, without importing typer.

    from cacheadmin.cli import lazy_typer as typer

Importing typer takes six times as long as starting Python, and reading the values
of one command by it as long again. A call that needs neither help nor an error
message is read by ``plain_calls`` from what is declared here. For everything else
``real_function`` and ``Typer.real`` make typer's own declarations of it: typer
alone defines what a command line means, and what is said of a wrong one.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

if TYPE_CHECKING:
    import typer
    from typer import BadParameter, Exit, colors, style

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Declaration:
    """What an ``Annotated`` parameter says of itself, as it is handed to typer."""

    def __init__(self, *names: str, **settings: Any) -> None:
        self.names = names
        """Spellings of an option; empty for an argument."""
        self.settings = settings
        """Everything else, by typer's names."""

    def real(self) -> Any:
        """Return typer's own declaration."""
        import typer

        return getattr(typer, type(self).__name__)(*self.names, **self.settings)


class Option(Declaration):
    """As ``typer.Option`` within ``Annotated``."""


class Argument(Declaration):
    """As ``typer.Argument`` within ``Annotated``."""


class Typer:
    """A group of commands, as ``typer.Typer`` takes them."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self.help: str = settings["help"]
        """What the group is for."""
        self.functions: dict[str, Callable[..., Any]] = {}
        """The group's commands by their names, in the order of --help."""
        self._callback: Callable[..., Any] | None = None

    def callback(self) -> Callable[[_Function], _Function]:
        """Return what makes a function, without parameters, the group's own."""

        def keep(function: _Function) -> _Function:
            self._callback = function
            return function

        return keep

    def command(self, name: str) -> Callable[[_Function], _Function]:
        """Return what adds a function as a command of this name."""

        def add(function: _Function) -> _Function:
            self.functions[name] = function
            return function

        return add

    def real(self) -> typer.Typer:
        """Return typer's own group."""
        import typer

        group = typer.Typer(**self._settings)
        if self._callback is not None:
            group.callback()(self._callback)
        for name, function in self.functions.items():
            group.command(name)(real_function(function))
        return group


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return what the parameters of a command are annotated with, by name."""
    hints = typing.get_type_hints(function, include_extras=True)
    hints.pop("return", None)
    return hints


def real_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command declared in typer's own words; the function itself stays as it is."""
    hints = hints_of(function)
    for name, hint in hints.items():
        declared = getattr(hint, "__metadata__", (None,))[0]
        if isinstance(declared, Declaration):
            hints[name] = Annotated[hint.__origin__, declared.real()]

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        return function(**values)

    given = inspect.signature(function)
    parameters = [one.replace(annotation=hints[name]) for name, one in given.parameters.items()]
    command.__signature__ = given.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = hints
    return command


def __getattr__(name: str) -> Any:
    """Return what is used of typer itself, importing it."""
    if name not in ("BadParameter", "Exit", "colors", "style"):
        raise AttributeError(name)
    import typer

    return getattr(typer, name)


__all__ = [
    "Argument",
    "BadParameter",
    "Declaration",
    "Exit",
    "Option",
    "Typer",
    "colors",
    "hints_of",
    "real_function",
    "style",
]
