"""``cacheadmin doctor``: environments already broken, and what repairs each."""

from __future__ import annotations

import os
from itertools import groupby
from typing import Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import (
    FailOn,
    FailOnOption,
    FindingsFormatOption,
    InsecurePolicyOption,
    PolicyArgument,
)
from cacheadmin.cli.records import recorded
from cacheadmin.cli.results import fails, heading, progress_bar, show
from cacheadmin.doctor.diagnosis import Checkup, diagnose
from cacheadmin.doctor.script_files import script_name, write_scripts
from cacheadmin.doctor.scripts import script_for
from cacheadmin.doctor.user_switch import become_words
from cacheadmin.errors import ExitCode, WrongUsage
from cacheadmin.report.doctor import CheckupReport
from cacheadmin.rights.acting import as_caller
from cacheadmin.snapshot.snapshot import Snapshot, look_at
from cacheadmin.text.escapes import shell_word


def doctor(
    policy: PolicyArgument = None,
    fix_script: Annotated[
        str | None,
        typer.Option(
            "--fix-script",
            metavar="DIR",
            help="Write the repairs as one shell script a user; '-' prints the only one.",
            show_default=False,
        ),
    ] = None,
    fail_on: FailOnOption = FailOn.ERROR,
    output_format: FindingsFormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Find broken environments, and the exact command that repairs each."""
    if fix_script == "-" and output_format != "table":
        raise WrongUsage("--fix-script - prints a script: it goes with no other --format")
    writes = fix_script not in (None, "-")
    with (
        recorded("doctor --fix-script", policy, changes=writes) as account,
        progress_bar() as progress,
        look_at(
            policy, insecure_policy=insecure_policy, afresh=True, progress=progress
        ) as snapshot,
    ):
        account.loaded = snapshot.loaded
        checkup = diagnose(snapshot, progress)
        if fix_script != "-":
            first = heading("doctor", snapshot, gaps=checkup.gaps)
            loaded, cache = snapshot.loaded, snapshot.cache.identity
            report = CheckupReport(first, loaded, cache, checkup, policy)
            show(report, output_format, is_well=not checkup.findings)
        if fix_script is not None:
            account.subject = os.path.abspath(fix_script)
            account.counts = {"scripts": _write_scripts(fix_script, snapshot, checkup)}
        failing = fails(checkup.findings, fail_on)
        account.exit_code = int(ExitCode.FINDINGS if failing else ExitCode.DONE)
    return account.exit_code


def _write_scripts(target: str, snapshot: Snapshot, checkup: Checkup) -> int:
    """Write a script a user into a folder, or print the only one; return how many were written."""
    by_uid = sorted(checkup.diagnoses, key=lambda one: one.examination.uid)
    scripts: dict[str, str] = {}
    owners: dict[str, str] = {}
    ways: dict[str, str] = {}
    for uid, group in groupby(by_uid, key=lambda one: one.examination.uid):
        own = list(group)
        name = script_name(own[0].owner, uid)
        ways[name] = become_words(uid, snapshot.cache)
        scripts[name] = script_for(uid, snapshot.cache.identity.path, own, ways[name])
        owners[name] = own[0].owner
    if target == "-":
        if len(scripts) > 1:
            raise WrongUsage(
                f"several users have scripts ({len(scripts)}): {', '.join(owners.values())}",
                hint="name a folder: each of them gets a script",
            )
        for text in scripts.values():
            # Names in it may be no UTF-8: their bytes, as they are on the disk.
            output.raw(os.fsencode(text))
        return 0
    if not scripts:
        output.note("nothing is broken: no script was written")
        return 0
    with as_caller():
        written = write_scripts(target, scripts)
    for path in written:
        way = ways[os.path.basename(path)]
        output.note(f"wrote {path}; as root: {way} < {shell_word(path)}")
    output.note("each is for its user alone")
    return len(scripts)
