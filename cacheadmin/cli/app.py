"""The command line as a whole: global options, commands, errors to exit codes.

Command modules import nothing but typer at their top, so that ``--help`` is
quick; each body imports the one function it calls. Every failure ends here as
one clear line on stderr and the exit code of its class.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from cacheadmin.cli import output
from cacheadmin.cli.plan import plan
from cacheadmin.cli.policy import policy_app
from cacheadmin.cli.preflight import preflight
from cacheadmin.cli.prune import prune
from cacheadmin.cli.runs import runs_app
from cacheadmin.cli.scan import scan
from cacheadmin.cli.schemas import schemas
from cacheadmin.cli.simulate import simulate
from cacheadmin.cli.uv import uv_app
from cacheadmin.cli.venv import venv_app
from cacheadmin.errors import CacheadminError, ExitCode

# typer may carry its own copy of click: the class is reached through typer's name.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="cacheadmin",
    help="Make a uv cache that many people share safe to clean.",
    no_args_is_help=True,
    # Plain help needs no rich: a third of the start-up time.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(preflight)
app.command()(plan)
app.command()(prune)
app.command()(simulate)
app.command()(scan)
app.command()(schemas)
app.add_typer(runs_app, name="runs")
app.add_typer(venv_app, name="venv")
app.add_typer(policy_app, name="policy")
app.add_typer(uv_app, name="uv")


@app.callback()
def _global_options(
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing when all is well (for cron).")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more; a traceback on unexpected errors.")
    ] = False,
    color: Annotated[
        output.Color, typer.Option("--color", help="Colour: auto, always or never.")
    ] = output.Color.AUTO,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", is_eager=True)
    ] = False,
) -> None:
    output.settings = output.Settings(quiet=quiet, verbose=verbose, color=color)
    if version:
        from cacheadmin import __version__

        output.data(f"cacheadmin {__version__}")
        raise typer.Exit


def run(arguments: list[str]) -> int:
    """Run one command line; return its exit code."""
    try:
        result = app(arguments, prog_name="cacheadmin", standalone_mode=False)
        sys.stdout.flush()
    except CacheadminError as error:
        output.failure(error)
        return int(error.exit_code)
    except _UsageError as error:
        output.usage(error)
        return int(ExitCode.USAGE)
    except (typer.Abort, KeyboardInterrupt):
        output.note("interrupted")
        return 130
    except BrokenPipeError:
        # The reader left (`| head`): nobody is there to complain to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.DONE)
    except Exception as error:
        output.unexpected(error)
        return int(ExitCode.UNEXPECTED)
    return int(result) if isinstance(result, int) else int(ExitCode.DONE)
