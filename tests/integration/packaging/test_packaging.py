"""What `pip install` gives: man pages, example policies, declared dependencies."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.packages import packages_folder
from tests.support.uv_releases import REPOSITORY


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names in the wheel that pip builds from this repository, offline."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--disable-pip-version-check", "--find-links", str(packages_folder())]
    subprocess.run([*command, "--wheel-dir", str(out), str(REPOSITORY)], check=True, timeout=300)
    with zipfile.ZipFile(next(out.glob("cacheadmin-*.whl"))) as wheel:
        return wheel.namelist()


def test_the_wheel_installs_every_manual_page(wheel_names: list[str]) -> None:
    for path in (REPOSITORY / "man").iterdir():
        page = f"man{path.suffix[1:]}/{path.name}"
        assert any(name.endswith(f".data/data/share/man/{page}") for name in wheel_names)


def test_the_wheel_installs_completion_for_each_shell(wheel_names: list[str]) -> None:
    for file in (
        "bash-completion/completions/cacheadmin",
        "zsh/site-functions/_cacheadmin",
        "fish/vendor_completions.d/cacheadmin.fish",
    ):
        assert any(name.endswith(f".data/data/share/{file}") for name in wheel_names)


def test_the_wheel_has_the_example_policies_and_the_release_table(wheel_names: list[str]) -> None:
    examples = [name for name in wheel_names if "/share/cacheadmin/policies/" in name]
    assert len(examples) >= 4
    assert "cacheadmin/uv/releases.json" in wheel_names
    assert "cacheadmin/py.typed" in wheel_names


def test_the_wheel_has_what_the_page_is_made_of(wheel_names: list[str]) -> None:
    folder = REPOSITORY / "cacheadmin" / "report" / "page"
    files = [*folder.glob("templates/*"), folder / "style.css", folder / "sort.js"]
    assert len(files) == 6
    for file in files:
        assert str(file.relative_to(REPOSITORY)) in wheel_names


def test_the_wheel_has_no_tests_in_it(wheel_names: list[str]) -> None:
    assert not [name for name in wheel_names if name.startswith("tests/")]


def test_every_import_is_of_a_declared_dependency() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    extras = [line for name in ("postgresql", "notify", "dask") for line in optional[name]]
    lines = project["dependencies"] + extras
    declared = {Requirement(line).name.lower() for line in lines}
    providers = importlib.metadata.packages_distributions()
    for module, imported in sorted(imports_of(REPOSITORY / "cacheadmin")):
        top = imported.partition(".")[0]
        if top in sys.stdlib_module_names or top == "cacheadmin":
            continue
        by = {name.lower() for name in providers.get(top, ())}
        assert by & declared, f"{module} imports {top}, which no declared dependency brings"


def imports_of(package: Path) -> set[tuple[str, str]]:
    """Return (file, imported module) for every import statement in a package."""
    found: set[tuple[str, str]] = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found.update((str(path), alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add((str(path), node.module))
    return found
