"""``cacheadmin preflight``: is it safe to prune this cache now?"""

from __future__ import annotations

from typing import Annotated

import typer

from cacheadmin.cli.options import FormatOption, InsecurePolicyOption, PolicyArgument
from cacheadmin.cli.output import Format


def preflight(
    policy: PolicyArgument = None,
    for_uv: Annotated[
        str | None,
        typer.Option(
            "--for-uv",
            help="Ask about `uv cache prune` of a release, or of a uv binary, instead.",
            show_default=False,
        ),
    ] = None,
    output_format: FormatOption = Format.TABLE,
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Say whether it is safe to prune this cache now, and every check behind it.

    Leaves with 0 when safe, 4 when limited, 5 when refused; changes nothing.
    """
    from cacheadmin.cli.showing import show_preflight
    from cacheadmin.preflight.running import run_preflight, run_preflight_for_release
    from cacheadmin.situation import look_at

    with look_at(policy, insecure_policy=insecure_policy) as situation:
        situation.require_writable()
        if for_uv is None:
            answer = run_preflight(situation)
        else:
            answer = run_preflight_for_release(situation, for_uv)
        return show_preflight(situation, answer, output_format)
