"""An environment in a stopped container keeps what it links to, or is a gap with its name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cacheadmin.evidence import containers as containers_kept
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache, links_of
from tests.support.users import User, with_account
from tests.support.uv_releases import NEWEST

pytestmark = pytest.mark.root

ID, LAYER = "0123abcd" * 8, "feedbeef" * 8
_INSIDE = 'mount -t tmpfs tmpfs /var/lib && cp -a "$0/." /var/lib/ && exec "$@"'


class Machine:
    """A machine with Docker's and Podman's folders, as a mount namespace has them."""

    def __init__(self, folder: Path, cacheadmin: Cacheadmin) -> None:
        self.kept = folder / "var-lib"
        self.kept.mkdir()
        self.cacheadmin = cacheadmin

    def write(self, path: str, content: object) -> None:
        file = self.kept / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))

    def docker(self, cache: Path) -> Path:
        """Keep a stopped container of Docker; return the layer it has written."""
        mounts = {"/cache": {"Type": "bind", "Source": str(cache), "Destination": "/cache"}}
        record = {
            "ID": ID,
            "Name": "/trainer",
            "Driver": "overlay2",
            "State": {"Running": False},
            "MountPoints": mounts,
        }
        self.write(f"docker/containers/{ID}/config.v2.json", record)
        self.write(f"docker/image/overlay2/layerdb/mounts/{ID}/mount-id", LAYER)
        return self.kept / "docker" / "overlay2" / LAYER / "diff"

    def podman(self, cache: Path) -> Path:
        """Keep a stopped container of Podman; return the layer it has written."""
        storage = "containers/storage"
        row = {"id": ID, "names": ["trainer"], "layer": LAYER}
        self.write(f"{storage}/overlay-containers/containers.json", [row])
        mounts = [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/cache", "type": "bind", "source": str(cache)},
        ]
        config = f"{storage}/overlay-containers/{ID}/userdata/config.json"
        self.write(config, {"ociVersion": "1.0.2", "mounts": mounts})
        return self.kept / storage / "overlay" / LAYER / "diff"

    def plan(self, policy: Path) -> Any:
        words = self.cacheadmin.command("plan", policy, "--format", "json")
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-ec", _INSIDE, str(self.kept), *words],
            env=self.cacheadmin.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 4), done.stderr
        return json.loads(done.stdout)


def in_a_layer(shared: SharedCache, layer: Path) -> None:
    """Have an environment in a layer, linked by the cache's path in the container."""
    environment = shared.environment("proj", NEWEST, "six==1.16.0", link_mode="symlink")
    there = layer / "app" / ".venv"
    there.parent.mkdir(parents=True)
    shutil.move(environment, there)
    for link in links_of(there):
        target = os.readlink(link)
        if target.startswith(str(shared.path)):
            os.unlink(link)
            os.symlink(target.replace(str(shared.path), "/cache"), link)
    for bucket in ("wheels-v*", "interpreter-v*"):
        for folder in shared.path.glob(bucket):
            shutil.rmtree(folder)


def containers(document: Any) -> set[tuple[str, str]]:
    return {
        (gap["id"], gap["host"]) for gap in document["gaps"] if gap["id"].startswith("containers.l")
    }


@pytest.mark.parametrize("runtime", ["docker", "podman"])
def test_what_a_stopped_container_links_to_is_kept(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path, runtime: str
) -> None:
    machine = Machine(open_folder, cacheadmin)
    layer = getattr(machine, runtime)(shared.path)
    in_a_layer(shared, layer)
    policy = cacheadmin.policy(shared.path)
    document = machine.plan(policy)
    kept = {row["rule"] for row in document["kept"] if row["kind"] == "archive"}
    assert kept == {"archive.linked"}
    assert containers(document) == set()
    # The same without a container, and with one whose layer is lost.
    shutil.move(layer, open_folder / "lost")
    document = machine.plan(policy)
    assert {row["kind"] for row in document["removals"]} >= {"archive"}
    assert containers(document) == {("containers.layer", "trainer")}
    rests = {row["rests_on"] for row in document["removals"] if row["kind"] == "archive"}
    assert rests == {"absence"}
    word = cacheadmin.policy(shared.path, "hosts: {only: this}\n")
    assert containers(machine.plan(word)) == set()


def test_a_record_that_is_damaged_is_a_gap(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    machine = Machine(open_folder, cacheadmin)
    shared.environment("proj", NEWEST, "six==1.16.0")
    policy = cacheadmin.policy(shared.path)
    assert machine.plan(policy)["gaps"] == []
    machine.write(f"docker/containers/{ID}/config.v2.json", "{")
    (gap,) = machine.plan(policy)["gaps"]
    assert gap["id"] == "containers.unlisted"
    assert "it is no JSON" in gap["detail"]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (f"docker/containers/{ID}/config.v2.json", {"MountPoints": ["/cache"]}),
        (f"docker/containers/{ID}/config.v2.json", {"MountPoints": {"/cache": "/cache"}}),
        ("containers/storage/overlay-containers/containers.json", ["trainer"]),
        ("containers/storage/overlay-containers/containers.json", [{"names": ["trainer"]}]),
    ],
)
def test_a_record_of_another_shape_is_a_gap(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path, path: str, content: object
) -> None:
    machine = Machine(open_folder, cacheadmin)
    shared.environment("proj", NEWEST, "six==1.16.0")
    machine.write(path, content)
    (gap,) = machine.plan(cacheadmin.policy(shared.path))["gaps"]
    assert gap["id"] == "containers.unlisted"
    assert "another shape" in gap["detail"]


def test_containers_beyond_the_bound_are_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers_kept, "DOCKER", str(tmp_path / "docker"))
    monkeypatch.setattr(containers_kept, "PODMAN", str(tmp_path / "podman"))
    monkeypatch.setattr(containers_kept, "_MOST_CONTAINERS", 1)
    for name in ("one", "two"):
        folder = tmp_path / "docker" / "containers" / name
        folder.mkdir(parents=True)
        (folder / "config.v2.json").write_text("{}")
    listed = tmp_path / "podman" / "overlay-containers"
    listed.mkdir(parents=True)
    (listed / "containers.json").write_text('[{"id": "one"}, {"id": "two"}]')
    found = list(containers_kept.known_containers())
    unlisted = [one for one in found if isinstance(one, containers_kept.Unlisted)]
    cut = [one.runtime for one in unlisted if "the rest was not read" in one.reason]
    assert cut == ["Docker", "Podman"]


# An account's own Podman; containerd


def own_podman(home: Path, cache: Path, uid: int, sources: list[str]) -> Path:
    """Keep a stopped container of an account's own Podman; return the layer it has written."""
    storage = home / ".local" / "share" / "containers" / "storage"
    userdata = storage / "overlay-containers" / ID / "userdata"
    userdata.mkdir(parents=True)
    row = {"id": ID, "names": ["trainer"], "layer": LAYER}
    (storage / "overlay-containers" / "containers.json").write_text(json.dumps([row]))
    mounts = [{"destination": "/cache", "type": "bind", "source": str(cache)}]
    mounts += [{"destination": "/data", "type": "bind", "source": one} for one in sources]
    (userdata / "config.json").write_text(json.dumps({"ociVersion": "1.0.2", "mounts": mounts}))
    layer = storage / "overlay" / LAYER / "diff"
    layer.mkdir(parents=True)
    return layer


def test_what_the_stopped_container_of_an_account_links_to_is_kept(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path, three_users: list[User]
) -> None:
    ana, ben, _ = three_users
    home = open_folder / "home-of-ana"
    elsewhere = open_folder / "of-ben"
    layer = own_podman(home, shared.path, ana.uid, [str(elsewhere), str(home / "volume")])
    in_a_layer(shared, layer)
    # A folder that is another account's is not searched in the name of this one.
    for place in (elsewhere, home / "volume"):
        (place / "env").mkdir(parents=True)
        (place / "env" / "pyvenv.cfg").write_text("uv = 0.13.9\n")
        (place / "env" / "link").symlink_to(shared.path / "archive-v0" / ("x" * 21))
    subprocess.run(["chown", "-R", str(ana.uid), home], check=True)
    subprocess.run(["chown", "-R", str(ben.uid), elsewhere], check=True)
    nowhere = open_folder / "nowhere"
    nowhere.mkdir()
    policy = cacheadmin.policy(shared.path, f"venvs: {{discover: [{{root: '{nowhere}'}}]}}\n")

    def asked(*words: str) -> Any:
        done = subprocess.run(
            [
                *with_account("ana", home, ana.uid, open_folder),
                *cacheadmin.command(*words, policy, "--format", "json"),
            ],
            env=cacheadmin.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 4), done.stderr
        return json.loads(done.stdout)

    document = asked("plan")
    kept = {row["rule"] for row in document["kept"] if row["kind"] == "archive"}
    assert kept == {"archive.linked"}
    assert containers(document) == set()
    found = {row["path"]: row["sources"] for row in asked("scan")["venvs"]}
    assert "containers" in found[str(layer / "app" / ".venv")]
    assert str(home / "volume" / "env") in found
    assert str(elsewhere / "env") not in found
    # What that account may have written is no record of root's, and may hang.
    shutil.move(layer, open_folder / "lost")
    assert containers(asked("plan")) == {("containers.layer", "trainer")}


def test_volumes_of_pods_are_searched_and_containers_of_nerdctl_are_named(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    machine = Machine(open_folder, cacheadmin)
    volume = "kubelet/pods/6c7a/volumes/kubernetes.io~empty-dir/work"
    in_a_layer(shared, machine.kept / volume)
    policy = cacheadmin.policy(shared.path)
    document = machine.plan(policy)
    assert {row["rule"] for row in document["kept"] if row["kind"] == "archive"} == {
        "archive.linked"
    }
    machine.write("nerdctl/1935db59/names/default/trainer", ID)
    (gap,) = [gap for gap in machine.plan(policy)["gaps"] if gap["id"] == "containers.layer"]
    assert gap["host"] == "trainer"
    assert "nerdctl" in gap["detail"]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("", "/home/ana/.local/share/containers/storage"),
        ('[storage]\nrootless_storage_path = "/scratch/$USER-$UID/pods"\n', "/scratch/ana-7/pods"),
        ('[storage]\nrootless_storage_path = "$HOME/pods"\n', "/home/ana/pods"),
        ("[storage\n", "/home/ana/.local/share/containers/storage"),
    ],
)
def test_the_file_of_the_site_says_where_accounts_keep_their_containers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, place: str
) -> None:
    (tmp_path / "storage.conf").write_text(content)
    monkeypatch.setattr(containers_kept, "_STORAGE_CONF", (str(tmp_path / "storage.conf"),))
    assert containers_kept.own_storage("/home/ana", 7).folder == place


def test_numbers_of_an_accounts_containers_are_traces_of_the_account(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path, three_users: list[User]
) -> None:
    ana = three_users[0]
    home = open_folder / "home-of-ana"
    environment = shared.environment("proj", NEWEST, "six==1.16.0", link_mode="symlink")
    home.mkdir()
    shutil.move(environment, home / "proj")
    for bucket in ("wheels-v*", "interpreter-v*"):
        for folder in shared.path.glob(bucket):
            shutil.rmtree(folder)
    # A user in a container of ana's, other than root there.
    inside = ana.uid + 100_000
    subprocess.run(["chown", "-R", str(inside), shared.path, home], check=True)
    subuid = open_folder / "subuid"
    policy = cacheadmin.policy(shared.path, complete=False)

    def kept(line: str) -> set[tuple[str, str]]:
        subuid.write_text(line)
        words = ["sh", "-ec", 'touch /etc/subuid; mount --bind "$0" /etc/subuid; exec "$@"']
        done = subprocess.run(
            [
                *with_account("ana", home, ana.uid, open_folder),
                *words,
                str(subuid),
                *cacheadmin.command("plan", policy, "--format", "json"),
            ],
            env=cacheadmin.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 4), done.stderr
        document = json.loads(done.stdout)
        unknown = {gap["id"] for gap in document["gaps"]} & {"homes.unknown"}
        rows = {row["rule"] for row in document["kept"] if row["kind"] == "archive"}
        return {*unknown, *rows}

    assert kept(f"ana:{inside - 5}:65536\n") == {"archive.linked"}
    assert "homes.unknown" in kept(f"ana:{inside + 5}:65536\nben:x:1\n\n")
