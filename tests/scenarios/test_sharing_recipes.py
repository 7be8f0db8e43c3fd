"""docs/sharing-recipes.md: what it says of containers and of Kubernetes is so.

A container is made of what containers are made of: its own mounts, processes
and host name. The page's commands are run by test_docs_commands_run.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from cacheadmin.policy.parser import parse_policy
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.uv_releases import NEWEST, REPOSITORY

MANIFESTS = REPOSITORY / "docs" / "operations" / "kubernetes" / "uv-cache.yaml"
INSIDE = "/mnt"

# The cache alone, at another path; then whatever was asked, as long as it is wanted.
_CONTAINER = """
mount --bind "$1" /mnt && mount -t tmpfs none "$1" || exit 1
"$2" -c 'import six, sys; print("ready", flush=True); sys.stdin.read(); import idna' || exit 1
"""


@contextmanager
def container(cache: Path, python: Path) -> Iterator[subprocess.Popen[str]]:
    """Run an environment's Python where the cache is mounted alone, at another path."""
    spaces = ("--mount", "--pid", "--uts", "--fork", "--mount-proc")
    process = subprocess.Popen(
        ["unshare", *spaces, "sh", "-c", _CONTAINER, "sh", cache, python],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()


def environment_of_a_container(shared: SharedCache, folder: Path, link_mode: str) -> Path:
    """Make an environment as a container does that has the cache at another path."""
    path = folder / f"in-a-container-{link_mode}"
    made = shared.environment("proj", NEWEST, "six==1.16.0", "idna==3.7", link_mode=link_mode)
    # Where no search looks: on the container's own disk.
    made.rename(path)
    for root, _, files in os.walk(path):
        for name in files:
            file = Path(root) / name
            if file.is_symlink() and os.readlink(file).startswith(f"{shared.path}/"):
                target = os.readlink(file).removeprefix(f"{shared.path}/")
                file.unlink()
                file.symlink_to(f"{INSIDE}/{target}")
    return path


def policy_of(cacheadmin: Cacheadmin, shared: SharedCache) -> Path:
    """The page's policy: the path that containers have is an alias."""
    return cacheadmin.policy(
        shared.path,
        f"aliases: [{INSIDE}]\nvenvs: {{discover: [{{root: {shared.homes}}}]}}\n"
        "prune: {builds: {after: 0s}}\n",
        complete=False,
    )


def forget_pointers(shared: SharedCache) -> None:
    """Let nothing but users keep archives: no pointer leads to them any more."""
    for bucket in shared.path.glob("wheels-v*"):
        shutil.rmtree(bucket)


@pytest.mark.root
def test_a_running_container_keeps_what_it_uses_and_a_stopped_one_brings_it_back(
    cacheadmin: Cacheadmin, shared: SharedCache, open_folder: Path
) -> None:
    environment = environment_of_a_container(shared, open_folder, "symlink")
    forget_pointers(shared)
    policy = policy_of(cacheadmin, shared)
    python = environment / "bin" / "python"

    def pruned() -> dict[str, Any]:
        return cacheadmin("prune", policy, "--format", "json", code=0).json

    with container(shared.path, python):
        running = pruned()
        kept = {row["package"]: row for row in running["kept"] if row["kind"] == "archive"}
        # What the process has open or mapped, or both, by whatever name.
        assert "six" in kept
    stopped = pruned()
    on_trial = {row["package"] for row in stopped["removals"] if row["kind"] == "archive"}
    assert "six" in on_trial
    assert len(stopped["trial"]["planted"]) >= 1
    # It starts again, and finds everything through the links in their place.
    with container(shared.path, python) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=60) == 0
    back = pruned()
    assert back["trial"]["sprung"]
    with container(shared.path, python) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=60) == 0


def test_a_container_that_copies_needs_no_cache(
    cacheadmin: Cacheadmin, shared: SharedCache, open_folder: Path
) -> None:
    environment = environment_of_a_container(shared, open_folder, "copy")
    assert dangling_links(environment) == {}
    python = environment / "bin" / "python"
    policy = cacheadmin.policy(shared.path)
    cacheadmin("evict", policy, "six", "idna", code=0)
    cacheadmin("runs", "purge", policy, "--all", code=0)
    assert not any((shared.path / "archive-v0").glob("*/six.py"))
    subprocess.run([python, "-c", "import six, idna"], check=True)


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(MANIFESTS.read_text(encoding="utf-8")))


@pytest.mark.parametrize("version", ["1.29", "1.33", "1.37"])
def test_the_manifests_follow_the_schema_of_kubernetes(version: str) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for manifest in manifests():
        kubernetes_validate.validate(manifest, version, strict=True)
    wrong = {**manifests()[0], "specification": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


def test_the_manifests_fit_together() -> None:
    found = {(one["kind"], one["metadata"]["name"]): one for one in manifests()}
    settings = found["ConfigMap", "cacheadmin-policy"]["data"]
    (name,) = settings
    policy = parse_policy(settings[name].encode(), name).policy
    job = found["CronJob", "cacheadmin"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = job["containers"]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert container["command"][-1] == mounts["policy"]["mountPath"]
    assert mounts["policy"]["subPath"] == name
    assert mounts["uv-cache"]["mountPath"] == policy.cache
    assert policy.state is not None
    assert policy.state.startswith(f"sqlite:///{mounts['state']['mountPath']}/")
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in job["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert {("PersistentVolumeClaim", claim) for claim in claims} <= found.keys()
    pods = found["Deployment", "app"]["spec"]["template"]["spec"]
    (install_step,) = pods["initContainers"]
    variables = {one["name"]: one["value"] for one in install_step["env"]}
    assert variables["UV_CACHE_DIR"] == policy.cache
    assert variables["UV_LINK_MODE"] == "copy"
    # What runs in the end has no cache at all.
    assert "uv-cache" not in {one["name"] for one in pods["containers"][0]["volumeMounts"]}
