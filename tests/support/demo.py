"""`make demo`: the story of uv issue 15104 on a real cache, told and checked.

Then two more: somebody whom no source knows loses nothing, and yet all that
nobody uses is gone after its trial.

Every sentence that claims something is checked; the first that is not true
ends the demo with code 1. Everything happens in a temporary folder that is
removed at the end. As root three real users take part, otherwise one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.claims import ClaimError, claim, quote, say, show, step
from tests.support.demo_of_trials import what_nobody_uses_goes, who_is_unseen_stays_whole
from tests.support.incident import RELEASES, Incident, build_incident
from tests.support.packages import packages_folder, serve_index
from tests.support.shared_cache import copy_in_place_of, dangling_links, links_of, tree_snapshot
from tests.support.unseen_users import OLD, SCRIPTS_RELEASE
from tests.support.users import User, me, open_temporary_folder, other_users, python_for_everyone
from tests.support.uv_releases import NEWEST, uv_binary

_PROGRAM = "from pandas.core.api import DataFrame; print(DataFrame({'x': [1, 2]}).x.sum())"


def main() -> int:
    """Tell the story; return the exit code."""
    begun = time.monotonic()
    folder = open_temporary_folder("cacheadmin-demo-")
    try:
        _tell(folder)
    except (ClaimError, AssertionError) as error:
        print(f"\nNOT TRUE: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\nEvery claim held ({time.monotonic() - begun:.0f} s). Nothing was left behind.")
    return 0


def _tell(folder: Path) -> None:
    _fetch_once()
    cacheadmin = Cacheadmin(folder / "cacheadmin")
    cacheadmin.folder.mkdir()
    with serve_index() as index:
        step("Three people share one uv cache, in symlink mode")
        incident = build_incident(folder, index, _people(), ["pandas==2.3.3", "six==1.16.0"])
        _introduce(incident)
        policy = cacheadmin.policy(
            incident.shared.path,
            f"venvs:\n  include: ['{incident.shared.homes}/*/*']\n",
            name="ml-team",
        )
        _uv_breaks_a_copy(incident)
        _look(cacheadmin, policy, incident)
        before = tree_snapshot(incident.shared.path)
        run = _prune(cacheadmin, policy, incident)
        _restore(cacheadmin, policy, run)
        claim(tree_snapshot(incident.shared.path) == before, "the tree is identical, to the inode")
        _go_on(cacheadmin, policy, incident)
        who_is_unseen_stays_whole(folder / "unseen", index)
        what_nobody_uses_goes(folder / "abandoned", index)


def _fetch_once() -> None:
    print("Fetching uv releases and packages (once; later runs are offline) ...")
    packages_folder()
    for release in ("0.4.30", OLD, SCRIPTS_RELEASE, *RELEASES.values()):
        uv_binary(release)


def _people() -> list[User]:
    if os.geteuid() == 0 and python_for_everyone() is not None:
        return other_users(3)
    print("(Three real users need root; here one user plays all of them.)")
    return []


def _introduce(incident: Incident) -> None:
    for name, environment in incident.environments.items():
        owner = environment.stat().st_uid
        say(
            f"{name} (uid {owner}), uv {RELEASES[name]}: {len(links_of(environment))} links"
            f" from {environment} into the cache"
        )
        claim(_imports(environment), f"{name} can use pandas")
    say("One more environment, by uv 0.4.30, was deleted two months ago: its leftovers remain.")


def _uv_breaks_a_copy(incident: Incident) -> None:
    step(f"What `uv cache prune` of uv {NEWEST} does to them (on a copy)")
    with copy_in_place_of(incident.shared.path):
        result = incident.shared.uv(NEWEST, "cache", "prune", user=me())
        quote(result.stderr)
        broken = incident.dangling()
        for name, links in broken.items():
            say(f"{name}: {links} links lead nowhere")
            quote(_run_program(incident.environments[name]).stderr.splitlines()[-1])
        claim(len(broken) >= 2, f"uv's own prune broke {len(broken)} of 3 environments")
    claim(not incident.dangling(), "the original is untouched: the copy took the damage")


def _look(cacheadmin: Cacheadmin, policy: Path, incident: Incident) -> None:
    step("cacheadmin preflight: is it safe?")
    preflight = show(cacheadmin("preflight", policy), "cacheadmin preflight ml-team")
    claim(preflight.code == 4, "the verdict is `limited` (code 4): people link into this cache")
    for environment in incident.environments.values():
        claim(str(environment) in preflight.stdout, f"it names {environment}")
    step("cacheadmin plan: what would go, what stays?")
    plan = show(cacheadmin("plan", policy), "cacheadmin plan ml-team")
    claim(plan.code == 4, "the plan says so too")


def _prune(cacheadmin: Cacheadmin, policy: Path, incident: Incident) -> str:
    step("cacheadmin prune")
    result = cacheadmin("prune", policy, "--format", "json")
    claim(result.code == 0, "the prune succeeded")
    document = result.json
    totals, lock = document["totals"], document["lock"]
    say(
        f"{totals['removals']} entries, {totals['files']} files and"
        f" {totals['reclaimable_bytes'] / 2**20:.1f} MiB moved to quarantine;"
        f" uv's lock was held for {lock['held_seconds'] * 1000:.0f} ms"
    )
    gone = {row["path"] for row in document["removals"]}
    claim(set(incident.leftovers) <= gone, "the deleted environment's leftovers are gone")
    claim(not incident.dangling(), "no link of anybody dangles")
    for name, environment in incident.environments.items():
        claim(_imports(environment), f"{name} can still use pandas")
    return str(document["run_id"])


def _restore(cacheadmin: Cacheadmin, policy: Path, run: str) -> None:
    step("cacheadmin runs restore: all of it can be undone")
    show(cacheadmin("runs", "list", policy), "cacheadmin runs list ml-team")
    restored = show(
        cacheadmin("runs", "restore", policy, run), f"cacheadmin runs restore ml-team {run}"
    )
    claim(restored.code == 0, "the restore succeeded")


def _go_on(cacheadmin: Cacheadmin, policy: Path, incident: Incident) -> None:
    step("Pruned once more, everybody goes on working")
    claim(cacheadmin("prune", policy).code == 0, "the second prune succeeded")
    for person, (name, release) in zip(
        (incident.shared.users * 3)[:3], RELEASES.items(), strict=True
    ):
        again = incident.shared.environment(f"again-{name}", release, "six", user=person)
        claim(not dangling_links(again), f"{name} can still install with uv {release}")
        incident.shared.remove_environment(again)
    claim(not incident.dangling(), "and still no link of anybody dangles")


def _imports(environment: Path) -> bool:
    return _run_program(environment).stdout.strip() == "3"


def _run_program(environment: Path) -> subprocess.CompletedProcess[str]:
    python = environment / "bin" / "python"
    return subprocess.run(
        [python, "-B", "-c", _PROGRAM], capture_output=True, text=True, env={}, check=False
    )


if __name__ == "__main__":
    sys.exit(main())
