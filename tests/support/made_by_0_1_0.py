"""Make `tests/fixtures/made-by-0.1.0.tar.gz`, what 0.1.0 left on a disk, by its own code.

    python -m tests.support.made_by_0_1_0        # in a clone with the whole history

In it are a cache, the quarantine beside it with a run that was ended and one that was
killed, and the state, with every table that 0.1.0 had. `manifest.json` says what a test
can't find out: the cache's path and inode, which the state goes by, and the runs.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tests.support.auditing import link_environment, make_cache
from tests.support.uv_releases import REPOSITORY

#: The commit whose `cacheadmin --version` is 0.1.0, the last of that release.
COMMIT = "47a0abc"

FIXTURE = REPOSITORY / "tests" / "fixtures" / "made-by-0.1.0.tar.gz"

# Somewhere that no machine has.
_PLACE = Path("/tmp/made-by-cacheadmin-0.1.0")

_LEARN = """
import sys
from cacheadmin.state.store import open_releases
open_releases(sys.argv[1]).learn("9.9.9", ["wheels-v99"], "/usr/bin/uv", 1)
"""


def make(place: Path = _PLACE) -> None:
    """Write the fixture."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    code = Path(tempfile.mkdtemp())
    try:
        source = subprocess.run(
            ["git", "archive", COMMIT, "cacheadmin"],
            cwd=REPOSITORY,
            check=True,
            capture_output=True,
        )
        with tarfile.open(fileobj=io.BytesIO(source.stdout)) as archive:
            archive.extractall(code, filter="data")
        manifest = _live(place, code)
        (place / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
        FIXTURE.parent.mkdir(exist_ok=True)
        with tarfile.open(FIXTURE, "w:gz", compresslevel=9) as archive:
            archive.add(place, ".", filter=_anybodys)
    finally:
        shutil.rmtree(code)
        shutil.rmtree(place)


def _live(place: Path, code: Path) -> dict[str, Any]:
    """Let 0.1.0 work for a while; return the manifest."""
    cache, state = place / "cache", f"sqlite:///{place}/state.db"
    link_environment(place / "proj", make_cache(cache))
    policy = place / "policy.yaml"
    policy.write_text(
        f"version: 1\nname: old\ncache: {cache}\nstate: {state}\n"
        f"venvs: {{include: [{place}/proj]}}\n"
        "prune: {builds: {after: 0s}, unused: {after: 30d}}\n"
        f"quarantine: {{path: {place}/quarantine}}\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.fspath(code), "PYTHONWARNINGS": "ignore"}

    def run(*words: str | Path, codes: tuple[int, ...] = (0,)) -> str:
        command = [sys.executable, "-m", "cacheadmin", *words]
        done = subprocess.run(command, cwd=code, env=environment, capture_output=True, text=True,
                              check=False)  # fmt: skip
        assert done.returncode in codes, (words, done.stdout, done.stderr)
        return done.stdout

    assert run("--version") == "cacheadmin 0.1.0\n"
    learn = [sys.executable, "-c", _LEARN, state]
    subprocess.run(learn, cwd=code, env=environment, check=True)
    run("venv", "add", policy, place / "proj")
    run("pin", "add", policy, "six", "--reason", "kept", "--expires", "900d")
    run("usage", policy)
    run("report", policy)
    runs = []
    for name in ("committed", "killed"):
        rubbish = cache / "archive-v0" / f".tmp{name}"
        rubbish.mkdir()
        (rubbish / "file").write_text(name)
        runs.append(json.loads(run("prune", policy, "--format", "json"))["run_id"])
    # Killed right before it could tell that all was well.
    journal = place / "quarantine" / runs[1] / "journal.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-1]))
    status = cache.stat()
    return {
        "cache": {"path": str(cache), "device": status.st_dev, "inode": status.st_ino},
        "place": str(place),
        "committed": runs[0],
        "killed": runs[1],
    }


def _anybodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


if __name__ == "__main__":
    make()
