"""``make rpm``: built from the spec that is shipped, with what the page on operations says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cacheadmin import __version__
from tests.support.uv_releases import REPOSITORY

RPM = REPOSITORY / "docs" / "operations" / "rpm"
PYTHON = "/usr/bin/python3"


def output(*command: str | Path, **arguments: object) -> str:
    finished = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, **arguments
    )
    assert finished.returncode == 0, f"{command}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout


def of_python(expression: str, python: str = PYTHON) -> str:
    return output(python, "-c", f"import sys, sysconfig; print({expression})").strip()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for tool in ("rpmbuild", "rpm", PYTHON):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (Debian's package rpm has rpmbuild)")
    suffix = "sysconfig.get_config_var('EXT_SUFFIX')"
    if of_python(suffix) != of_python(suffix, sys.executable):
        pytest.skip("the system's Python is of another version: pip would have to download")
    out = tmp_path_factory.mktemp("rpm")
    return Path(output(sys.executable, RPM / "build.py", out, "--quick").strip())


def asked(package: Path, *options: str) -> str:
    return output("rpm", "-qp", *options, package)


def test_it_holds_what_the_page_on_operations_says(package: Path) -> None:
    assert re.match(rf"cacheadmin-{re.escape(__version__)}-1\.\w+\.rpm$", package.name)
    shape = "[%{FILENAMES} %{FILEMODES:perms} %{FILEUSERNAME} %{FILEGROUPNAME}\n]"
    listed = dict(line.split(" ", 1) for line in asked(package, "--qf", shape).splitlines())
    operations = REPOSITORY / "docs" / "operations"
    wanted = {f"/usr/lib/systemd/system/{unit.name}" for unit in (operations / "systemd").iterdir()}
    for folder in ("prometheus", "grafana", "kubernetes", "cron.d"):
        wanted |= {
            f"/usr/share/doc/cacheadmin/examples/{folder}/{file.name}"
            for file in (operations / folder).iterdir()
        }
    wanted |= {
        f"/usr/share/man/man{page.suffix[1]}/{page.name}.gz"
        for page in (REPOSITORY / "man").iterdir()
    }
    wanted |= {
        f"/usr/share/cacheadmin/schemas/{schema.name}"
        for schema in (REPOSITORY / "docs" / "schemas").iterdir()
    }
    wanted |= {
        f"/usr/share/cacheadmin/policies/{policy.name}"
        for policy in (REPOSITORY / "policies").iterdir()
    }
    wanted |= {
        "/etc/cacheadmin/policies.d",
        "/etc/logrotate.d/cacheadmin",
        "/usr/bin/cacheadmin",
        "/usr/lib/cacheadmin/cacheadmin/__main__.py",
        "/usr/lib/cacheadmin/cacheadmin/uv/releases.json",
        "/usr/lib/sysusers.d/cacheadmin.conf",
        "/usr/lib/tmpfiles.d/cacheadmin.conf",
        "/usr/share/bash-completion/completions/cacheadmin",
        "/usr/share/doc/cacheadmin/operations/README.md",
        "/usr/share/fish/vendor_completions.d/cacheadmin.fish",
        "/usr/share/licenses/cacheadmin/LICENSE",
        "/usr/share/zsh/site-functions/_cacheadmin",
    }
    assert wanted <= listed.keys()
    modules = {name for name in listed if name.startswith("/usr/lib/cacheadmin/")}
    documents = {name for name in listed if name.startswith("/usr/share/doc/cacheadmin")}
    folders = {name for name, facts in listed.items() if facts.startswith("d")}
    # And nothing else.
    assert listed.keys() - wanted - modules - documents - folders == set()
    assert {facts.split(" ", 1)[1] for facts in listed.values()} == {"root root"}
    assert not [name for name, facts in listed.items() if facts[5] == "w" or facts[8] == "w"]
    programs = [name for name, facts in listed.items() if facts.startswith("-rwx")]
    assert programs == ["/usr/bin/cacheadmin"]
    assert not [name for name in listed if "__pycache__" in name]
    assert asked(package, "--configfiles") == "/etc/logrotate.d/cacheadmin\n"


def test_it_needs_the_python_whose_modules_it_brings(package: Path) -> None:
    needed = asked(package, "--requires")
    release = of_python("'%d.%d' % sys.version_info[:2]")
    assert f"python(abi) = {release}\n" in needed
    assert re.search(r"^glibc >= 2\.\d+$", needed, re.MULTILINE)
    # What it brings is for itself alone.
    assert {
        line.split()[0].partition("(")[0] for line in asked(package, "--provides").splitlines()
    } == {"cacheadmin"}


def test_its_scripts_are_shell_and_stop_every_unit(package: Path, tmp_path: Path) -> None:
    scripts = asked(package, "--scripts")
    for part in re.split(r"^\w+ scriptlet \(using /bin/sh\):$", scripts, flags=re.MULTILINE)[1:]:
        file = tmp_path / "script"
        file.write_text(part)
        output("sh", "-n", file)
    before = scripts.partition("preuninstall scriptlet")[2].partition("postuninstall")[0]
    for unit in (REPOSITORY / "docs" / "operations" / "systemd").iterdir():
        assert f"'{unit.name.replace('@', '@*')}'" in before, unit.name


@pytest.mark.root
def test_it_installs_runs_and_leaves_what_people_wrote(package: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    # Its scripts want a system around them; what they do is tested with the Debian package.
    rpm = ["rpm", "--root", root, "--nodeps", "--noscripts"]
    output(*rpm, "--install", package)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": "/nowhere"}
    said = output(root / "usr/bin/cacheadmin", "--version", env=environment, cwd="/")
    assert said == f"cacheadmin {__version__}\n"
    policy = root / "etc/cacheadmin/policies.d/ml-team.yaml"
    policy.write_text("version: 1\nname: ml-team\ncache: /srv/uv\n")
    output(root / "usr/bin/cacheadmin", "policy", "check", policy, env=environment, cwd="/")
    for cached in (root / "usr/lib/cacheadmin").rglob("__pycache__"):
        shutil.rmtree(cached)
    output(*rpm, "--erase", "cacheadmin")
    assert policy.exists()
    assert [path for path in (root / "usr").rglob("*cacheadmin*") if path.is_file()] == []


def test_without_rpmbuild_the_build_says_so() -> None:
    finished = subprocess.run(
        [sys.executable, RPM / "build.py", "nowhere"],
        env={"PATH": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    assert finished.stderr == "build: rpmbuild is needed to build an RPM, and is not there\n"
