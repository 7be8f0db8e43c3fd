"""Installing as the README says: what is missing is named, and a fleet needs no compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.uv_releases import NEWEST, REPOSITORY, uv_binary

CHECK = REPOSITORY / "docs" / "operations" / "check-build-tools.sh"


def check(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", CHECK, sys.executable],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_missing_compiler_is_named_with_the_line_that_installs_it() -> None:
    missing = check(CC="no-such-compiler")
    assert missing.returncode == 1
    assert "a C compiler is missing" in missing.stderr
    line = missing.stderr.splitlines()[-1]
    assert "gcc" in line
    if shutil.which("apt-get", path="/usr/bin:/bin"):
        assert line == "  apt-get install gcc libc6-dev python3-dev"


def test_missing_headers_are_named(tmp_path: Path) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\ngrep -q Python.h && exit 1; exit 0\n")
    compiler.chmod(0o755)
    missing = check(CC=str(compiler))
    assert missing.returncode == 1
    assert "the headers of" in missing.stderr


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_nothing_is_said_where_all_is_there() -> None:
    found = check()
    assert (found.returncode, found.stderr) == (0, "")


def test_make_asks_before_it_builds_anything() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.partition("$(VENV)/.ready: pyproject.toml")[2]
    assert recipe.index("check-build-tools.sh") < recipe.index("pip install")


@pytest.mark.long
def test_a_machine_without_compiler_or_network_installs_from_the_wheelhouse(
    tmp_path: Path,
) -> None:
    """As `make wheelhouse` builds it; then with pip, and with `uv tool install`."""
    wheelhouse = tmp_path / "wheelhouse"
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*build, "--wheel-dir", wheelhouse, REPOSITORY], check=True, timeout=600)
    assert list(wheelhouse.glob("pyxattr-*.whl"))
    assert not list(wheelhouse.glob("*.tar.gz"))
    # No compiler, and no way to an index.
    offline = {"PATH": "/usr/bin:/bin", "CC": "/bin/false", "HOME": str(tmp_path)}
    offline |= {"HTTPS_PROXY": "http://127.0.0.1:9", "PIP_NO_CACHE_DIR": "1"}
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    command = [tmp_path / "venv/bin/pip", "install", "--quiet", "--no-index"]
    command += ["--find-links", wheelhouse, "cacheadmin"]
    subprocess.run(command, env=offline, check=True, timeout=300)
    assert works(tmp_path / "venv" / "bin" / "cacheadmin", offline)
    tool = [uv_binary(NEWEST), "--no-config", "tool", "install", "--offline", "--no-index"]
    tool += ["--find-links", wheelhouse, "--python", sys.executable, "cacheadmin"]
    tools = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    subprocess.run(tool, env={**offline, **tools}, check=True, timeout=300)
    assert works(tmp_path / "bin" / "cacheadmin", offline)


def works(program: Path, environment: dict[str, str]) -> bool:
    """Whether an installed program knows its policy schema, and where that lies."""
    said = subprocess.run(
        [program, "policy", "init", "--cache", "/srv/uv"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    schema = said.splitlines()[0].partition("$schema=")[2]
    return os.path.isabs(schema) and os.path.exists(schema)
