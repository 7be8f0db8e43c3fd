"""People who start uv at random, again and again, and follow every link at once.

    with commands_at_random(shared, folder, seconds=10) as people:
        while people.at_work():
            cacheadmin("prune", policy)
    people.failures        # what went wrong, in words; [] when nothing did
    people.carried         # links that a tripwire carried at the moment they were followed

Each works in projects of their own: makes the environment of a project again,
runs a script with requirements, or a tool. The oracle is outside the product:
uv's exit code, every link followed, every package imported.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.projects import project_in, sync, uv_in
from tests.support.shared_cache import SharedCache, dangling_links, links_of

# No two people share a package, so that each leaves some unused when between two environments.
_REQUIREMENTS = (
    ("six==1.16.0", "pytz==2025.2"),
    ("six==1.17.0", "idna==3.7"),
    ("pytz==2023.3", "tzdata==2025.2"),
)
_MODULES = ("import six, pytz", "import six, idna", "import pytz, tzdata")
_SCRIPT = '# /// script\n# dependencies = ["{}"]\n# ///\nimport {}\n'
_TOOLS = ("cowsay==6.0", "cowsay==6.1")


@dataclass
class People:
    """Those who work, and what they met."""

    ends_at: float
    failures: list[str] = field(default_factory=list)
    commands: int = 0
    carried: int = 0
    threads: list[threading.Thread] = field(default_factory=list)

    def at_work(self) -> bool:
        """Whether they still start commands."""
        return time.monotonic() < self.ends_at


@contextmanager
def commands_at_random(
    shared: SharedCache, folder: Path, releases: dict[str, float], *, seconds: float, seed: int
) -> Iterator[People]:
    """Let one person a release work in ``folder``; wait for them at the end.

    ``releases``: for each the longest pause between two commands, in seconds.
    """
    people = People(time.monotonic() + seconds)
    for number, (release, pause) in enumerate(releases.items()):
        chance = random.Random(seed + number)
        room = folder / f"person{number}"
        person = _Person(shared, room, number, release, people, chance, pause)
        people.threads.append(threading.Thread(target=person.work))
    for thread in people.threads:
        thread.start()
    try:
        yield people
    finally:
        people.ends_at = 0.0
        for thread in people.threads:
            thread.join()


@dataclass
class _Person:
    shared: SharedCache
    folder: Path
    number: int
    release: str
    people: People
    chance: random.Random
    pause: float

    def work(self) -> None:
        while self.people.at_work():
            act = self.chance.choice((self._project, self._project, self._script, self._tool))
            self.people.commands += 1
            try:
                act()
            except subprocess.CalledProcessError as error:
                words = " ".join(map(str, error.cmd[1:]))
                self.people.failures.append(f"uv {self.release} {words}: {error.stderr}")
            # As people do: at odd times.
            time.sleep(self.chance.random() * self.pause)

    def _project(self) -> None:
        """Make a project's environment again, follow its links, import its packages."""
        project = project_in(self.folder / "project", *_REQUIREMENTS[self.number])
        shutil.rmtree(project / ".venv", ignore_errors=True)
        # As long as a prune takes to look: it may see the packages unused, and then not.
        time.sleep(self.chance.random() * 4.0)
        environment = sync(self.shared, project, self.release)
        self._look(environment)
        command = [environment / "bin" / "python", "-B", "-c", _MODULES[self.number]]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            self.people.failures.append(f"{environment} ({self.release}): {done.stderr}")

    def _look(self, environment: Path) -> None:
        links = links_of(environment)
        archives = {
            text.partition("/archive-v0/")[2].partition("/")[0]
            for text in links.values()
            if "/archive-v0/" in text
        }
        if not archives:
            self.people.failures.append(f"{environment} ({self.release}) links to no archive")
        self.people.carried += sum(
            os.path.islink(self.shared.path / "archive-v0" / name) for name in archives
        )
        for path, text in dangling_links(environment).items():
            self.people.failures.append(f"{path} ({self.release}) dangles: {text}")

    def _script(self) -> None:
        """Run a script that names what it requires."""
        self.folder.mkdir(exist_ok=True)
        module = self.chance.choice(("pytz", "idna"))
        script = self.folder / f"{module}_script.py"
        version = {"pytz": "2025.2", "idna": "3.7"}[module]
        script.write_text(_SCRIPT.format(f"{module}=={version}", module))
        uv_in(self.shared, self.folder, self.release, "run", "--quiet", "--no-project", script)

    def _tool(self) -> None:
        """Run a tool, as `uvx` does."""
        self.folder.mkdir(exist_ok=True)
        tool = self.chance.choice(_TOOLS)
        uv_in(
            self.shared,
            self.folder,
            self.release,
            *("tool", "run", "--quiet", "--from", tool, "python", "-c", "import cowsay"),
        )
