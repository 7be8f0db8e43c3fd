"""uv-cache-warden from the package index: another tool that keeps a cache below a size."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.running_uv import uv_environment
from tests.support.uv_releases import NEWEST, REPOSITORY, uv_binary

WARDEN = "1.1.0"


def warden_folder() -> Path:
    """Return the folder of uv-cache-warden, fetched once."""
    folder = REPOSITORY / ".test-packages" / f"uv-cache-warden-{WARDEN}"
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
        command += [os.fspath(unfinished), f"uv-cache-warden=={WARDEN}"]
        subprocess.run(command, check=True)
        unfinished.rename(folder)
    return folder


def run_warden(cache: Path, home: Path, max_size: str) -> None:
    """Let it bring a cache below a size, with the newest uv."""
    subprocess.run(
        [sys.executable, "-m", "uv_cache_warden.cli", "gc", "--max-size", max_size],
        env=uv_environment(cache=cache, home=home)
        | {
            "PYTHONPATH": os.fspath(warden_folder()),
            "PATH": f"{uv_binary(NEWEST).parent}:/usr/bin:/bin",
        },
        cwd=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
