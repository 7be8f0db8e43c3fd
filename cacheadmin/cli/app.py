"""The command line as a whole: global options, commands, errors to exit codes.

A command's module is loaded when the command is called (``commands``). A call that
is plain to read (``plain_calls``) is carried out at once, any other by typer
(``program``). Every failure ends here as one clear line on stderr and the exit
code of its class.
"""

from __future__ import annotations

import sys

from cacheadmin.cli import output
from cacheadmin.cli.commands import function_of
from cacheadmin.cli.disk_errors import explained
from cacheadmin.cli.everywhere import global_options
from cacheadmin.cli.plain_calls import read_plainly
from cacheadmin.cli.program import run_program
from cacheadmin.cli.unnamed import named_policy, with_policies
from cacheadmin.errors import CacheadminError, ExitCode, NotACache
from cacheadmin.policy.loaded import with_policy

# Global options that take no value.
_WITHOUT_VALUE = frozenset({"-q", "--quiet", "-v", "--verbose", "--wide"})


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
    """Run one command line; return its exit code, whatever becomes of what it says."""
    try:
        return _run(arguments)
    finally:
        output.let_go()


def _run(arguments: list[str]) -> int:
    output.settings = output.Settings()
    output.fit_terminal()
    if sys.stdout.isatty() and _names_nothing(arguments):
        arguments = [*arguments, "status"]
    try:
        call = read_plainly(arguments, function_of, global_options)
        result = _run_by_typer(arguments) if call is None else call.run()
        output.finish()
    except CacheadminError as error:
        if isinstance(error, NotACache):
            error = with_policies(error, arguments)
        error.hint = with_policy(error.hint, named_policy(arguments))
        output.failure(error)
        return int(error.exit_code)
    except KeyboardInterrupt:
        output.note("interrupted")
        return 130
    except BrokenPipeError:
        # What typer itself printed: help.
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
        return run_program(arguments)
    except usage_error as error:
        output.usage(error)
        return int(ExitCode.USAGE)
    except typer.Abort:
        raise KeyboardInterrupt from None
