"""uv commands begun at any moment of a prune, in every lock mode, end whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.commands_at_random import commands_at_random
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.uv_releases import NEWEST

#: Two that take uv's lock, one that takes none: seldom, as a prune keeps everything beside it.
RELEASES = {NEWEST: 0.3, "0.9.0": 0.3, "0.8.5": 8.0}

DONE, BUSY = 0, 3


@pytest.mark.long
@pytest.mark.parametrize("busy", ["wait", "skip", "concurrent"])
def test_for_two_minutes(
    cacheadmin: Cacheadmin, open_folder: Path, index: Index, busy: str
) -> None:
    Play(cacheadmin, open_folder, index, busy).run(seconds=120)


@dataclass
class Play:
    """Prunes without end, down to nothing, while people work."""

    cacheadmin: Cacheadmin
    folder: Path
    index: Index
    busy: str
    planted: int = 0
    put_back: int = 0

    def run(self, *, seconds: float) -> None:
        """Play for so many seconds; then look at everything once more."""
        shared = SharedCache.create(self.folder, self.index)
        shared.environment("known", NEWEST, "cowsay==6.1")
        projects = self.folder / "projects"
        projects.mkdir()
        policy = self._policy(shared, projects)
        with commands_at_random(shared, projects, RELEASES, seconds=seconds, seed=7) as people:
            while people.at_work():
                self._note(self.cacheadmin("prune", policy, "--format", "json"))
        self._note(self.cacheadmin("prune", policy, "--format", "json"))
        assert people.failures == []
        for environment in (*shared.environments, *projects.glob("*/*/.venv")):
            assert dangling_links(environment) == {}
        assert self.planted, "no prune put anything on trial"
        # When its links were followed, or by the tripwire's own word.
        assert people.carried + self.put_back, "nobody ever met a prune"

    def _policy(self, shared: SharedCache, projects: Path) -> Path:
        return self.cacheadmin.policy(
            shared.path,
            f"venvs: {{discover: [{{root: '{projects}'}}]}}\n"
            "prune: {budget: {max_size: 1KiB}, environments: {idle: 1s, keep_latest: false}}\n"
            f"lock: {{busy: {self.busy}, timeout: 5s}}\n",
            complete=False,
        )

    def _note(self, prune: Any) -> None:
        assert prune.code in (DONE, BUSY), prune
        if prune.code == DONE:
            trial = prune.json.get("trial", {})
            self.planted += len(trial.get("planted", ()))
            self.put_back += len(trial.get("put_back", ()))
