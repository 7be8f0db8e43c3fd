"""What a project says is its owner's to write, and costs the reader little."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from cacheadmin.doctor.projects import Selection, selection_of

_LOCK = """
[[package]]
name = "project"
version = "0.1"
source = { virtual = "." }
dependencies = [{ name = "six" }]

[[package]]
name = "six"
version = "1.16.0"
source = { registry = "https://index.example/simple" }
"""


def a_project(folder: Path, *, lock: str = _LOCK) -> str:
    (folder / "pyproject.toml").write_text('[project]\nname = "project"\nversion = "0.1"\n')
    (folder / "uv.lock").write_text(lock)
    return str(folder / ".venv")


def test_a_lock_of_many_packages_is_read(tmp_path: Path) -> None:
    url = "https://files.index.example/packages/aa/bb/a_package-1.2.3-py3-none-any.whl"
    more = "".join(
        f'[[package]]\nname = "p{number}"\nsource = {{ url = "{url}" }}\n' for number in range(2000)
    )
    environment = a_project(tmp_path, lock=_LOCK + more)
    assert selection_of(environment, {"six": "1.16.0"}) == Selection((), frozenset({"six"}))


@pytest.mark.parametrize("key", ["{}", "[{}]", 'a = {{ "b".{} = 1 }}'])
def test_a_key_of_many_parts_fills_no_memory(tmp_path: Path, key: str) -> None:
    bomb = key.format("a" + ".a" * 20_000) + (" = 1" if key == "{}" else "")
    environment = a_project(tmp_path, lock=f"{_LOCK}\n{bomb}\n")
    reader = (
        "import sys; from cacheadmin.doctor.projects import selection_of\n"
        "assert selection_of(sys.argv[1], {}) is None\n"
    )
    subprocess.run(
        [sys.executable, "-c", reader, environment],
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29)),
    )
