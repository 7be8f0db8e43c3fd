"""The parts of `make demo` about trials: who is unseen stays whole, what nobody uses is gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.claims import claim, say, show, step
from tests.support.packages import Index
from tests.support.shared_cache import dangling_links
from tests.support.unseen_users import DAYS_AGO, IDLE, OLD, abandoned, unseen_project

#: How much of what could be removed must be gone after the trial.
LEAST_SHARE = 0.95


def who_is_unseen_stays_whole(folder: Path, index: Index) -> None:
    """Prune a cache that somebody uses whom no source knows."""
    step("An environment that nobody told the tool about")
    site = unseen_project(folder, index)
    cacheadmin, policy = _watched(site.shared.path, folder, "unseen")
    used = site.archives()
    say(f"{site.environment}: one `uv sync` by uv {OLD}, {DAYS_AGO} days ago, in a folder that")
    say(f"no policy names and no record of uv mentions; {len(used)} archives")
    known = cacheadmin("scan", policy, "--format", "json").stdout
    found = [str(path) in known for path in (*site.shared.environments, site.environment)]
    claim(found == [True, False], "no source finds it, only the one of the newest release")
    first = _prune(cacheadmin, policy)
    claim(used <= set(first["trial"]["planted"]), "what it needs was removed, on trial")
    claim(not site.whole(), "at the place of each archive there is a tripwire")
    claim(site.imports(), "its program goes on running")
    second = _prune(cacheadmin, policy)
    claim(used <= set(second["trial"]["put_back"]), "the next run puts all of it back by itself")
    claim(site.whole() == used and not dangling_links(site.environment), "nothing is missing")
    run = first["run_id"]
    shown = show(cacheadmin("runs", "show", policy, run), f"cacheadmin runs show unseen {run}")
    sprang = shown.stdout.partition("came back:")[2]
    claim(all(entry in sprang for entry in used), "`runs show` says what sprang, and when")
    third = _prune(cacheadmin, policy)
    gone = {row["path"] for row in third["removals"]}
    claim(not used & gone and site.imports(), "it counts as used from now on")


def what_nobody_uses_goes(folder: Path, index: Index) -> None:
    """Prune a cache without unseen users; compare with what could be removed."""
    step("Is anything freed, if all this is only tried? A cache that people have left")
    site = abandoned(folder, index, "numpy==2.3.5", "pytz==2025.2", "six==1.16.0")
    cacheadmin, policy = _watched(site.shared.path, folder, "abandoned", IDLE)
    removable = site.bytes_before - site.bytes_without
    say(f"{removable / 2**20:.1f} MiB were not there before those came who have left")
    run = _prune(cacheadmin, policy)
    tried = [row for row in run["removals"] if row["path"] in run["trial"]["planted"]]
    tried_bytes = sum(row["reclaimable_bytes"] for row in tried)
    say(f"{tried_bytes / 2**20:.1f} MiB of it are on trial, {len(tried)} entries: nobody used them")
    claim(tried_bytes > removable / 2, "most of it rests on absence alone")
    end_trials(cacheadmin, policy)
    share = site.freed_share()
    say(f"after the trial: {share:.1%} of what an all-knowing collector could remove is gone")
    claim(share >= LEAST_SHARE, f"that is at least {LEAST_SHARE:.0%}")
    claim(not any(map(dangling_links, site.shared.environments)), "no link of anybody dangles")


def end_trials(cacheadmin: Cacheadmin, policy: Path) -> None:
    """End all trials as time would, and remove what was left for a later run."""
    cacheadmin("runs", "purge", policy, "--all", "--now", code=0)
    _prune(cacheadmin, policy)
    cacheadmin("runs", "purge", policy, "--all", "--now", code=0)


def _watched(cache: Path, folder: Path, name: str, text: str = "") -> tuple[Cacheadmin, Path]:
    cacheadmin = Cacheadmin(folder / "cacheadmin")
    cacheadmin.folder.mkdir()
    text += f"venvs: {{discover: [{{root: {json.dumps(str(folder / 'homes'))}}}]}}\n"
    return cacheadmin, cacheadmin.policy(cache, text, name, complete=False)


def _prune(cacheadmin: Cacheadmin, policy: Path) -> Any:
    return cacheadmin("prune", policy, "--format", "json", code=0).json
