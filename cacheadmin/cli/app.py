"""The command line as a whole: global options, commands, errors to exit codes.

Command modules import nothing but declarations at their top, so that ``--help`` is
quick; each body imports the one function it calls. A call that is plain to read
(``plain_calls``) is carried out at once, any other by typer. Every failure ends
here as one clear line on stderr and the exit code of its class.
"""

from __future__ import annotations

import sys
from importlib import import_module
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from cacheadmin.cli import output
from cacheadmin.cli.everywhere import complete, global_options
from cacheadmin.cli.lazy_typer import real_function
from cacheadmin.cli.plain_calls import read_plainly
from cacheadmin.cli.sentences import SENTENCES
from cacheadmin.errors import CacheadminError, ExitCode, NotACache

if TYPE_CHECKING:
    from collections.abc import Callable

    import typer

# In the order in which --help lists them: name, and whether it is a group.
# Command NAME is the function of that name in ``cli/NAME.py``, group NAME its
# ``NAME_app``.
_COMMANDS = {
    "status": False,
    "preflight": False,
    "plan": False,
    "prune": False,
    "simulate": False,
    "evict": False,
    "explain": False,
    "scan": False,
    "schemas": False,
    "usage": False,
    "report": False,
    "audit": False,
    "dedupe": False,
    "doctor": False,
    "verify": False,
    "protect": False,
    "guard": False,
    "observe": False,
    "runs": True,
    "venv": True,
    "pin": True,
    "policy": True,
    "uv": True,
    "help": False,
}


# Global options that take no value.
_WITHOUT_VALUE = frozenset({"-q", "--quiet", "-v", "--verbose", "--wide"})


def build_app(only: str | None = None, *, listed: bool = False) -> typer.Typer:
    """Return the command line, with every command or with one alone.

    Reading the signatures of all commands takes a tenth of a preflight's
    time; a call needs one of them, and ``--help`` no more than what each is for
    (``listed``).
    """
    import typer

    app = typer.Typer(
        name="cacheadmin",
        help="Make a uv cache that many people share safe to clean.",
        no_args_is_help=True,
        # Plain help needs no rich: a third of the start-up time.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(real_function(global_options))
    # Typer lists groups after commands, whatever the order in which they are added.
    for name, is_group in sorted(_COMMANDS.items(), key=itemgetter(1)):
        if only not in (None, name):
            continue
        if listed:
            app.command(name, help=SENTENCES[name])(_nothing)
        elif is_group:
            app.add_typer(_declared(name).real(), name=name)
        else:
            app.command(name)(real_function(_declared(name)))
    return app


def _nothing() -> None:
    """Stand for a command that is listed alone."""


def _declared(name: str) -> Any:
    """Return what is declared of a command: its function, or its group."""
    module = import_module(f"cacheadmin.cli.{name}")
    return getattr(module, f"{name}_app" if _COMMANDS[name] else name)


def _function(name: str, second: str | None) -> Callable[..., object] | None:
    """Return the function of a command, or of one in a group; None where there is none."""
    if name not in _COMMANDS or _COMMANDS[name] is (second is None):
        return None
    found: Callable[..., object] = _declared(name)
    return found if second is None else _declared(name).functions.get(second)


def build_program(only: str | None = None, *, listed: bool = False) -> Any:
    """Return the program as click's command: every command with options and help whole."""
    import typer

    return complete(typer.main.get_command(build_app(only, listed=listed)))


def _named_command(arguments: list[str]) -> str | None:
    """Return the command that is called, if it is plain to see; None: all are needed."""
    for argument in arguments:
        if argument in _COMMANDS:
            return argument
        if not argument.startswith("-") or argument in ("-h", "--help", "--color"):
            return None
    return None


def _names_nothing(arguments: list[str]) -> bool:
    """Whether there is nothing but global options, so that `status` is what is meant."""
    words = iter(arguments)
    for word in words:
        if word == "--color":
            next(words, None)
        elif word not in _WITHOUT_VALUE and not word.startswith("--color="):
            return False
    return True


def _failed(error: Exception) -> int:
    """Report what no code closer to it has reported: a disk that is full or fails, or a bug."""
    from cacheadmin.cli.disk_errors import explained

    worded = explained(error) if isinstance(error, OSError) else None
    if worded is None:
        output.unexpected(error)
        return int(ExitCode.UNEXPECTED)
    output.failure(worded)
    return int(worded.exit_code)


def run(arguments: list[str]) -> int:
    """Run one command line; return its exit code."""
    output.settings = output.Settings()
    output.fit_terminal()
    if sys.stdout.isatty() and _names_nothing(arguments):
        arguments = [*arguments, "status"]
    try:
        call = read_plainly(arguments, _function, global_options)
        result = _run_by_typer(arguments) if call is None else call.run()
        output.finish()
    except CacheadminError as error:
        if isinstance(error, NotACache):
            from cacheadmin.cli.unnamed import with_policies

            error = with_policies(error, arguments)
        output.failure(error)
        return int(error.exit_code)
    except KeyboardInterrupt:
        output.note("interrupted")
        return 130
    except BrokenPipeError:
        # The reader left (`| head`): a complaint would reach no one.
        output.throw_away()
        return int(ExitCode.DONE)
    except Exception as error:
        return _failed(error)
    return int(result) if isinstance(result, int) else int(ExitCode.DONE)


def _run_by_typer(arguments: list[str]) -> object:
    """Let typer read and run a command line: help, errors, and what is not plain to see."""
    import typer

    # typer may carry its own copy of click: the class is reached through typer's name.
    usage_error: type[Exception] = typer.BadParameter.__mro__[1]
    try:
        listed = arguments in (["--help"], ["-h"])
        program = build_program(_named_command(arguments), listed=listed)
        return program(arguments, prog_name="cacheadmin", standalone_mode=False)
    except usage_error as error:
        output.usage(error)
        return int(ExitCode.USAGE)
    except typer.Abort:
        raise KeyboardInterrupt from None
