"""``cacheadmin schemas``: who uses which uv releases, and which buckets those need."""

from __future__ import annotations

from cacheadmin.cli import output
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption, PolicyArgument
from cacheadmin.cli.output import Format


def schemas(
    policy: PolicyArgument = None,
    output_format: FormatOption = Format.TABLE,
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Show users, the uv releases they use, and which buckets they need."""
    from cacheadmin.cli.showing import document, progress_bar
    from cacheadmin.fs.measuring import measure_each
    from cacheadmin.report.schemas import schemas_json, schemas_text
    from cacheadmin.situation import look_at

    with (
        progress_bar() as progress,
        look_at(policy, insecure_policy=insecure_policy, progress=progress) as situation,
    ):
        case = situation.case
        names = [bucket.name for bucket in situation.inventory.buckets]
        sizes = measure_each(situation.cache.fd, names, situation.charges)
        if output_format is Format.JSON:
            output.data(document("schemas", situation, schemas_json(case, sizes)))
        else:
            output.data(schemas_text(case, sizes))
    return 0
