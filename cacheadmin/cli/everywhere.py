"""What every command has: the global options after its name too, and help that is whole.

People write ``cacheadmin prune -q`` as often as ``cacheadmin -q prune``. Both
mean the same: each spelling sets ``output.settings``, none takes back what
another has set. Help is given whole: click shortens each command's sentence
to what fits in half a line, and ends it with dots.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from cacheadmin import __version__
from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output


def _quiet(given: bool) -> None:
    if given:
        output.change(quiet=True)


def _verbose(given: bool) -> None:
    if given:
        output.change(verbose=True)


def _wide(given: bool) -> None:
    if given:
        output.change(wide=True)


def _color(given: output.Color | None) -> None:
    if given is not None:
        output.change(color=given)


def _version(given: bool) -> None:
    if given:
        output.data(f"cacheadmin {__version__}")
        raise typer.Exit


QuietOption = Annotated[
    bool,
    typer.Option(
        *("--quiet", "-q"),
        help="Print nothing when all is well (for cron).",
        callback=_quiet,
        expose_value=False,
    ),
]
VerboseOption = Annotated[
    bool,
    typer.Option(
        *("--verbose", "-v"),
        help="Say more; a traceback on unexpected errors.",
        callback=_verbose,
        expose_value=False,
    ),
]
WideOption = Annotated[
    bool,
    typer.Option(
        "--wide",
        help="Show tables whole, however narrow the terminal is.",
        callback=_wide,
        expose_value=False,
    ),
]
ColorOption = Annotated[
    output.Color | None,
    typer.Option(
        "--color",
        help="Colour: auto, always or never.",
        show_default=False,
        callback=_color,
        expose_value=False,
    ),
]
VersionOption = Annotated[
    bool,
    typer.Option(
        "--version",
        help="Print the version and leave.",
        callback=_version,
        is_eager=True,
        expose_value=False,
    ),
]


def global_options(
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    wide: WideOption = False,
    color: ColorOption = None,
    version: VersionOption = False,
) -> None:
    """Do nothing: the options work by their callbacks, wherever they stand."""


def complete(command: Any) -> Any:
    """Give a command, and those in a group, the global options and whole help; return it."""
    from typer import Typer
    from typer.main import get_command

    probe = Typer(add_completion=False, rich_markup_mode=None)
    probe.command()(typer.real_function(global_options))
    options = get_command(probe).params
    for one in (command, *_inner(command)):
        spelled = {name for parameter in one.params for name in parameter.opts}
        one.params += [option for option in options if not spelled.intersection(option.opts)]
        one.short_help = one.short_help or _first_paragraph(one.help or "")
        for parameter in one.params:
            if parameter.param_type_name == "argument":
                _show_plainly(parameter)
    return command


def _show_plainly(argument: Any) -> None:
    """Let the help of an argument name what is wanted, and not how Python holds it.

    Some releases of typer write ``POLICY <list[str]>``, and ``{NAME...}...`` for what
    says already how often it may stand.
    """
    if (argument.metavar or "").endswith("..."):
        argument.get_usage_pieces = lambda _context: [argument.metavar]
    record = argument.get_help_record

    def without_type(context: Any) -> tuple[str, str] | None:
        found = record(context)
        return found and (re.sub(r" <[^<>]*>$", "", found[0]), found[1])

    argument.get_help_record = without_type


def _inner(command: Any) -> list[Any]:
    own = list(getattr(command, "commands", {}).values())
    return own + [found for one in own for found in _inner(one)]


def _first_paragraph(text: str) -> str:
    return " ".join(text.split("\n\n", maxsplit=1)[0].split())
