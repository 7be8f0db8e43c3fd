"""``make deb``: built, installed into a folder, run from there, and gone again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cacheadmin import __version__
from tests.support.uv_releases import REPOSITORY

# What making a group leaves; groups are never removed.
ACCOUNTS = ("etc/group", "etc/gshadow", "etc/passwd", "etc/.pwd.lock")
BUILD = REPOSITORY / "docs" / "operations" / "debian" / "build.py"


def needs(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:

    needs("dpkg-deb", "dpkg", "/usr/bin/python3")
    suffix = "import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX'))"
    if output("/usr/bin/python3", "-c", suffix) != output(sys.executable, "-c", suffix):
        pytest.skip("the system's Python is of another version: pip would have to download")
    out = tmp_path_factory.mktemp("deb")
    return Path(output(sys.executable, str(BUILD), str(out), "--quick", "--bundle").strip())


def test_compiled_modules_are_left_to_the_system_where_it_has_them_new_enough(
    package: Path, tmp_path: Path
) -> None:
    needs("apt-cache")
    known = output("apt-cache", "policy", "python3-pyxattr", "python3-psutil")
    candidates = dict(re.findall(r"(python3-\w+):\n.*\n +Candidate: ([0-9.]+)", known))
    if not candidates:
        pytest.skip("apt knows no packages here: run apt-get update")
    built = output(sys.executable, str(BUILD), str(tmp_path), "--quick").strip()
    depends = output("dpkg-deb", "--field", built, "Depends")
    names = output("dpkg-deb", "--contents", built)
    bundled = output("dpkg-deb", "--contents", package)
    for name, module, least in (
        ("python3-pyxattr", "/xattr.", 0),
        ("python3-psutil", "/psutil/", 6),
    ):
        suffices = int(candidates.get(name, "-1").split(".")[0]) >= least
        assert (name in depends) is suffices
        assert (f"usr/lib/cacheadmin{module}" in names) is not suffices
        assert f"usr/lib/cacheadmin{module}" in bundled


def output(*command: str | Path, **arguments: object) -> str:
    finished = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, **arguments
    )
    assert finished.returncode == 0, f"{command}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout


def dpkg(root: Path, *arguments: str | Path) -> None:
    """Run dpkg on a root folder; its scripts run outside of it, told by DPKG_ROOT."""
    forced = [
        "--force-script-chrootless",
        "--force-depends",
        "--force-not-root",
        "--force-unsafe-io",
    ]
    output("dpkg", f"--root={root}", f"--log={root}.log", *forced, *arguments)


def names_in(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root folder with dpkg's files and the accounts that every Debian has."""
    root = tmp_path / "root"
    for folder in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "etc"):
        (root / folder).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    (root / "etc/group").write_text("root:x:0:\nadm:x:4:\n", encoding="utf-8")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n", encoding="utf-8")
    return root


@pytest.mark.root
def test_it_installs_runs_and_leaves_nothing_behind(package: Path, root: Path) -> None:
    needs("systemd-sysusers", "systemd-tmpfiles")
    before = names_in(root)
    dpkg(root, "--install", package)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(root.parent), "PYTHONPATH": "/nowhere"}

    def run(*arguments: str | Path) -> str:
        return output(root / "usr/bin/cacheadmin", *arguments, env=environment, cwd="/")

    assert run("--version") == f"cacheadmin {__version__}\n"
    cache = root.parent / "cache"
    cache.mkdir()
    (cache / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    (cache / "sdists-v9").mkdir()
    policy = root / "etc/cacheadmin/policies.d/ml-team.yaml"
    state = root / "var/lib/cacheadmin/state.sqlite"
    policy.write_text(
        f"version: 1\nname: ml-team\ncache: {cache}\nstate: sqlite:///{state}\n"
        f"log: {{trail: {root}/var/log/cacheadmin/trail.jsonl}}\n"
        f"venvs: {{complete: true, discover: [{{root: {root}}}]}}\n"
    )
    run("policy", "check", policy)
    assert "safe" in run("preflight", policy)
    run("-q", "prune", policy)
    assert state.exists()
    assert (root / "var/log/cacheadmin/trail.jsonl").stat().st_size
    assert "uvcache:" in (root / "etc/group").read_text()
    assert (root / "var/lib/cacheadmin").stat().st_mode & 0o7777 == 0o750
    if shutil.which("man"):
        page = output("man", "-M", root / "usr/share/man", "-P", "cat", "cacheadmin")
        assert "cacheadmin preflight" in page

    modules = list((root / "usr/lib/cacheadmin").rglob("*.so"))
    assert len(modules) > 10
    if shutil.which("readelf"):
        # Neither RPATH nor RUNPATH: root loads nothing from the builder's folders.
        assert "PATH)" not in output("readelf", "--dynamic", *modules)

    dpkg(root, "--remove", "cacheadmin")
    assert policy.exists(), "what somebody wrote is not removed"
    assert state.exists(), "state is not removed before a purge"
    policy.unlink()
    timers = root / "etc/systemd/system/timers.target.wants"
    timers.mkdir(parents=True)
    for unit in ("cacheadmin@ml-team.timer", "cacheadmin-audit@ml-team.timer", "other@x.timer"):
        (timers / unit).symlink_to("/usr/lib/systemd/system/any@.timer")
    dpkg(root, "--purge", "cacheadmin")
    assert os.listdir(timers) == ["other@x.timer"], "installed again, nothing starts unasked"
    left = {
        name
        for name in names_in(root) - before
        if not name.startswith(("var/lib/dpkg", *ACCOUNTS)) and (root / name).is_file()
    }
    assert left == set()
    assert not (root / "etc/cacheadmin").exists()
    assert not (root / "usr/lib/cacheadmin").exists()


def test_it_holds_what_the_page_on_operations_says(package: Path) -> None:
    listed = output("dpkg-deb", "--contents", package)
    for path in (
        "./usr/lib/systemd/system/cacheadmin@.timer",
        "./usr/lib/systemd/system/cacheadmin-audit@.service",
        "./usr/lib/systemd/system/cacheadmin-report@.timer",
        "./usr/lib/systemd/system/cacheadmin-guard@.service",
        "./usr/lib/sysusers.d/cacheadmin.conf",
        "./usr/lib/tmpfiles.d/cacheadmin.conf",
        "./etc/logrotate.d/cacheadmin",
        "./usr/share/bash-completion/completions/cacheadmin",
        "./usr/share/zsh/vendor-completions/_cacheadmin",
        "./usr/share/fish/vendor_completions.d/cacheadmin.fish",
        "./usr/share/man/man1/cacheadmin.1.gz",
        "./usr/share/man/man5/cacheadmin-policy.5.gz",
        "./usr/share/doc/cacheadmin/copyright",
        "./usr/share/doc/cacheadmin/operations/README.md",
        "./usr/share/doc/cacheadmin/examples/cron.d/cacheadmin",
        "./usr/share/doc/cacheadmin/examples/prometheus/cacheadmin.rules.yml",
        "./usr/share/doc/cacheadmin/examples/grafana/cacheadmin.json",
        "./usr/share/cacheadmin/schemas/policy.schema.json",
    ):
        assert f" {path}\n" in listed
    lines = [line.split() for line in listed.splitlines()]
    assert {line[1] for line in lines} == {"root/root"}
    assert not [line for line in lines if line[0][5] == "w" or line[0][8] == "w"]
    assert "__pycache__" not in listed
    assert output("dpkg-deb", "--info", package, "conffiles") == "/etc/logrotate.d/cacheadmin\n"


def test_no_unit_outlives_the_modules_that_it_loads() -> None:
    script = (BUILD.parent / "prerm").read_text(encoding="utf-8")
    for unit in (BUILD.parent.parent / "systemd").iterdir():
        stopped = re.search(rf"systemctl stop .*'{unit.name.replace('@', '@[*]')}'", script)
        assert stopped is not None, unit.name


@pytest.mark.long
def test_lintian_finds_no_error(package: Path) -> None:
    needs("lintian")
    options = ["--allow-root", "--fail-on", "error", "--no-cfg"]
    found = output("lintian", *options, package, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert "E: " not in found


def test_without_dpkg_the_build_says_so() -> None:
    finished = subprocess.run(
        [sys.executable, BUILD, "nowhere"],
        env={"PATH": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    assert finished.stderr == (
        "build: dpkg-deb is needed to build a Debian package, and is not there\n"
    )
