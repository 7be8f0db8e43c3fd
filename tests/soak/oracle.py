"""The oracle: follows every link and imports every package, and asks nobody whether it may.

It knows nothing of the product. A link that leads nowhere is one of two things: a
user's own prune took what had no root when that prune began (``unprotected``, which
is told and counted), or a failure.
"""

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import dataclass, field

from tests.soak.site import Environment, Site
from tests.support.shared_cache import dangling_links

_PAUSE_SECONDS = 0.2
_IMPORT_SECONDS = 60


@dataclass
class Oracle:
    """Looks at everything users have, over and over."""

    site: Site
    unprotected: set[str] = field(default_factory=set)
    """Ids of archives that users' own prunes took and that had no root then."""

    own_prunes: threading.Lock = field(default_factory=threading.Lock)
    """Held while it is being found out what a user's own prune took."""

    looks: int = 0
    links: int = 0

    def run(self, number: int, of: int) -> None:
        """Look at every ``of``-th environment until the soak is over."""
        while not self.site.stopping.is_set():
            for place, environment in enumerate(self.site.environments()):
                if place % of == number and not self.site.stopping.is_set():
                    self.look(environment)
            # The interval between two looks.
            time.sleep(_PAUSE_SECONDS)

    def look(self, environment: Environment) -> bool:
        """Look at one; whether it is whole."""
        with environment.changes:
            if environment.is_gone:
                return True
            self.looks += 1
            dangling = dangling_links(environment.path)
            if dangling and self._explains(dangling):
                self.site.count("environments that an unprotected prune broke")
                environment.is_gone = True
                return False
            if dangling:
                link, text = next(iter(dangling.items()))
                where = "known" if environment.known else "unseen"
                words = f"{len(dangling)} links dangle, such as {link} -> {text} ({where})"
                self.site.fail(f"oracle: {words}")
                environment.is_gone = True
                return False
            return self._imports(environment)

    def is_whole(self, environment: Environment) -> bool:
        """Whether nothing dangles in one, and it imports; tells nobody."""
        return not dangling_links(environment.path) and self._import(environment).returncode == 0

    def _explains(self, dangling: dict[str, str]) -> bool:
        with self.own_prunes:
            lost = {
                text.partition("/archive-v0/")[2].partition("/")[0] for text in dangling.values()
            }
            return lost <= self.unprotected

    def _imports(self, environment: Environment) -> bool:
        done = self._import(environment)
        if done.returncode and not dangling_links(environment.path):
            last = done.stderr.strip().splitlines()[-1:]
            self.site.fail(f"oracle: {environment.path} does not import: {last}")
            environment.is_gone = True
        return done.returncode == 0

    def _import(self, environment: Environment) -> subprocess.CompletedProcess[str]:
        owner = environment.owner
        variables = {"PATH": "/usr/bin:/bin", "HOME": str(self.site.shared.home(owner))}
        if not environment.python.is_relative_to(environment.path):
            variables["PYTHONPATH"] = str(environment.path)
        return subprocess.run(
            [environment.python, "-B", "-c", f"import {', '.join(environment.modules)}"],
            cwd="/",
            env=variables,
            capture_output=True,
            text=True,
            timeout=_IMPORT_SECONDS,
            check=False,
            **owner.process_arguments(),
        )
