"""The command line as a whole: global options, commands, errors to exit codes.

Command modules import nothing but typer at their top, so that ``--help`` is
quick; each body imports the one function it calls. Every failure ends here as
one clear line on stderr and the exit code of its class.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import typer

from cacheadmin.cli import output
from cacheadmin.cli.disk_errors import explained
from cacheadmin.cli.everywhere import complete, global_options
from cacheadmin.errors import CacheadminError, ExitCode, NotACache

# typer may carry its own copy of click: the class is reached through typer's name.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

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


def build_app(only: str | None = None) -> typer.Typer:
    """Return the command line, with every command or with one alone.

    Reading the signatures of all commands takes a tenth of a preflight's
    time; a call needs one of them.
    """
    app = typer.Typer(
        name="cacheadmin",
        help="Make a uv cache that many people share safe to clean.",
        no_args_is_help=True,
        # Plain help needs no rich: a third of the start-up time.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(global_options)
    for name, is_group in _COMMANDS.items():
        if only in (None, name):
            module = import_module(f"cacheadmin.cli.{name}")
            if is_group:
                app.add_typer(getattr(module, f"{name}_app"), name=name)
            else:
                app.command(name)(getattr(module, name))
    return app


def build_program(only: str | None = None) -> Any:
    """Return the program as click's command: every command with options and help whole."""
    return complete(typer.main.get_command(build_app(only)))


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
        program = build_program(_named_command(arguments))
        result = program(arguments, prog_name="cacheadmin", standalone_mode=False)
        output.finish()
    except CacheadminError as error:
        if isinstance(error, NotACache):
            from cacheadmin.cli.unnamed import with_policies

            error = with_policies(error, arguments)
        output.failure(error)
        return int(error.exit_code)
    except _UsageError as error:
        output.usage(error)
        return int(ExitCode.USAGE)
    except (typer.Abort, KeyboardInterrupt):
        output.note("interrupted")
        return 130
    except BrokenPipeError:
        # The reader left (`| head`): a complaint would reach no one.
        output.throw_away()
        return int(ExitCode.DONE)
    except Exception as error:
        return _failed(error)
    return int(result) if isinstance(result, int) else int(ExitCode.DONE)
