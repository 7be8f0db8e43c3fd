"""``cacheadmin preflight``: is it safe to prune this cache now?"""

from __future__ import annotations

from cacheadmin.cli.options import FormatOption, InsecurePolicyOption, PolicyArgument
from cacheadmin.cli.output import Format


def preflight(
    policy: PolicyArgument = None,
    output_format: FormatOption = Format.TABLE,
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Say whether it is safe to prune this cache now, and every check behind it.

    Leaves with 0 when safe, 4 when limited, 5 when refused; changes nothing.
    """
    from cacheadmin.cli.showing import show_preflight
    from cacheadmin.preflight.running import run_preflight
    from cacheadmin.situation import look_at

    with look_at(policy, insecure_policy=insecure_policy) as situation:
        return show_preflight(situation, run_preflight(situation), output_format)
