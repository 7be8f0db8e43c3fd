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


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make wheelhouse` builds."""
    folder = tmp_path_factory.mktemp("wheelhouse")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    # pipx brings no pip of its own.
    what = [f"{REPOSITORY}[notify,postgresql]", "pip"]
    subprocess.run([*build, "--wheel-dir", folder, *what], check=True, timeout=600)
    assert list(folder.glob("pyxattr-*.whl"))
    assert not list(folder.glob("*.tar.gz"))
    return folder


def offline(home: Path) -> dict[str, str]:
    """No compiler, and no way to an index."""
    home.mkdir(exist_ok=True)
    proxy = {"HTTPS_PROXY": "http://127.0.0.1:9", "PIP_NO_CACHE_DIR": "1"}
    return {"PATH": "/usr/bin:/bin", "CC": "/bin/false", "HOME": str(home), **proxy}


def make_venv(folder: Path) -> Path:
    """Make an environment and return its bin folder."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder / "bin"


@pytest.mark.long
def test_a_machine_without_compiler_or_network_installs_from_the_wheelhouse(
    wheelhouse: Path, tmp_path: Path
) -> None:
    environment = offline(tmp_path / "home")
    program = make_venv(tmp_path / "venv")
    command = [program / "pip", "install", "--quiet", "--no-index"]
    command += ["--find-links", wheelhouse, "cacheadmin[notify]"]
    subprocess.run(command, env=environment, check=True, timeout=300)
    assert works(program / "cacheadmin", environment)
    subprocess.run([program / "python", "-c", "import apprise"], check=True)


@pytest.mark.long
def test_uv_installs_it_as_a_tool(wheelhouse: Path, tmp_path: Path) -> None:
    environment = offline(tmp_path / "home")
    tool = [uv_binary(NEWEST), "--no-config", "tool", "install", "--offline", "--no-index"]
    tool += ["--find-links", wheelhouse, "--python", sys.executable, "cacheadmin[notify]"]
    tools = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    subprocess.run(tool, env={**environment, **tools}, check=True, timeout=300)
    assert works(tmp_path / "bin" / "cacheadmin", environment)


@pytest.mark.long
def test_pipx_installs_it(wheelhouse: Path, tmp_path: Path) -> None:
    program = make_venv(tmp_path / "venv")
    fetch = [program / "python", "-m", "pip", "install", "--quiet", "pipx"]
    subprocess.run(fetch, check=True, timeout=300)
    environment = offline(tmp_path / "home")
    # Below HOME it would be found in the caller's own PATH.
    environment |= {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    arguments = ["--python", sys.executable, "--pip-args"]
    arguments += [f"--no-index --find-links {wheelhouse}", "cacheadmin[notify]"]
    command = [program / "pipx", "install", *arguments]
    subprocess.run(command, env=environment, check=True, timeout=300)
    assert works(tmp_path / "bin" / "cacheadmin", environment)


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
