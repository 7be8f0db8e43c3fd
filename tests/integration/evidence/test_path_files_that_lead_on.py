"""A site's shared packages, as environments reach them: by path files and `sitecustomize.py`.

The environment lies where the policy looks, the packages elsewhere, as in /opt. The site
gives its word that all environments are known, and nothing else keeps what they link.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.projects import uv_in
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.uv_releases import NEWEST


def packages_in(shared: SharedCache, folder: Path, requirement: str) -> Path:
    """Install packages into a folder, as `PYTHONPATH` and path files name it."""
    uv_in(shared, shared.home(), NEWEST, "pip", "install", "--target", folder, requirement)
    return folder


def prune_by_the_sites_word(shared: SharedCache, cacheadmin: Cacheadmin) -> None:
    for pattern in ("wheels-v*", "interpreter-v*"):
        for folder in shared.path.glob(pattern):
            shutil.rmtree(folder)
    policy = cacheadmin.policy(shared.path, f"venvs: {{discover: [{{root: {shared.homes}}}]}}\n")
    cacheadmin("prune", policy, code=0)


def site_packages(environment: Path) -> Path:
    return next(environment.glob("lib/*/site-packages"))


def imports(environment: Path, statement: str) -> None:
    subprocess.run([environment / "bin" / "python", "-c", statement], check=True)


def test_what_path_files_in_a_shared_folder_name_stays(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    first = packages_in(shared, open_folder / "opt" / "first", "six==1.16.0")
    second = packages_in(shared, open_folder / "opt" / "second", "cowsay==6.0")
    environment = shared.environment("app", NEWEST)
    # Python reads path files in what `addsitedir` adds, uv's own overlays add so.
    line = f"import site; site.addsitedir({str(first)!r})\n"
    (site_packages(environment) / "site.pth").write_text(line)
    (first / "more.pth").write_text(f"{second}\n{first}\n")
    imports(environment, "import six, cowsay")

    prune_by_the_sites_word(shared, cacheadmin)

    assert dangling_links(open_folder / "opt") == {}
    imports(environment, "import six, cowsay")


@pytest.mark.parametrize("name", ["sitecustomize.py", "usercustomize.py"])
def test_what_a_customized_start_names_stays(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path, name: str
) -> None:
    folder = packages_in(shared, open_folder / "opt" / "site", "six==1.16.0")
    environment = shared.environment("app", NEWEST)
    text = f"import sys\nWHERE = '/'.join(['', 'srv'])\nsys.path.append({str(folder)!r})\n"
    (site_packages(environment) / name).write_text(text)

    prune_by_the_sites_word(shared, cacheadmin)

    assert dangling_links(folder) == {}


def test_code_that_takes_paths_apart_makes_no_environment_unreadable(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    environment = shared.environment("app", NEWEST, "six==1.16.0")
    text = "import os\nNAME = os.path.realpath(__file__).split('/')[-1].strip(\"//\")\n"
    (site_packages(environment) / "sitecustomize.py").write_text(text)
    policy = cacheadmin.policy(shared.path, f"venvs: {{discover: [{{root: {shared.homes}}}]}}\n")

    rows = cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]

    assert [row["status"] for row in rows if row["path"] == str(environment)] == ["ok"]
