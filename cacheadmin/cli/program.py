"""The program as typer reads it: for help, errors, completion, and what is not plain to see.

It lists every command by its name and sentence. The command that is called is
loaded then, and declared in typer's words; the others are not even imported.
"""

from __future__ import annotations

from typing import Any

from cacheadmin.cli import lazy_typer
from cacheadmin.cli.commands import SENTENCES, load
from cacheadmin.cli.everywhere import complete, global_options

# Plain help needs no rich: a third of the start-up time.
_PLAIN: dict[str, Any] = {"rich_markup_mode": None, "pretty_exceptions_enable": False}

# They go on working. The files that are installed (``make completions``) know more,
# and start no Python at each TAB.
_COMPLETION_OF_TYPER = ("install_completion", "show_completion")


def build_program(*, whole: bool = False) -> Any:
    """Return the program as click's command.

    With ``whole`` every command is loaded, so that ``commands`` tells all of them
    with their options: for completion files, and what checks manual pages.
    """
    import typer
    from typer.core import TyperGroup

    class Listed(TyperGroup):
        """Commands that are loaded when they are called."""

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            name, command, rest = super().resolve_command(ctx, args)
            return name, command and _loaded(str(name)), rest

    app = typer.Typer(
        name="cacheadmin",
        cls=Listed,
        help="Make a uv cache that many people share safe to clean.",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        **_PLAIN,
    )
    app.callback()(lazy_typer.real_function(global_options))
    for name, sentence in SENTENCES.items():
        app.command(name, help=sentence, short_help=sentence)(_nothing)
    program: Any = typer.main.get_command(app)
    for parameter in program.params:
        if parameter.name in _COMPLETION_OF_TYPER:
            parameter.hidden = True
    if whole:
        program.commands = {name: _loaded(name) for name in SENTENCES}
    return program


def run_program(arguments: list[str]) -> object:
    """Let typer read and run a command line; return what the command does.

    Raises BrokenPipeError where the reader of help has left: click ends with 1 then.
    """
    program = build_program()
    try:
        return program(arguments, prog_name="cacheadmin", standalone_mode=False)
    except SystemExit as left:
        if left.code != 1:
            raise
        raise BrokenPipeError from None


def _nothing() -> None:
    """Stand for a command that is listed alone."""


def _loaded(name: str) -> Any:
    """Return a command, or a group, as click's command."""
    import typer

    declared = load(name)
    app = typer.Typer(add_completion=False, **_PLAIN)
    if isinstance(declared, lazy_typer.Typer):
        app.add_typer(declared.real(), name=name)
        group: Any = typer.main.get_command(app)
        return complete(group.commands[name])
    app.command(name)(lazy_typer.real_function(declared))
    return complete(typer.main.get_command(app))
