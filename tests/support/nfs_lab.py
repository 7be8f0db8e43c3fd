"""Three real Linux machines that share an NFS server and nothing else, under emulation.

    with Lab(nfs_images()) as lab:
        lab.share("data")
        lab.mount(lab.clients[0], "data", "/shared", "vers=4.2")
        lab.clients[0].run("ls", "-l", "/shared").check().stdout

Guests of QEMU without a network but a wire from each client to the server. All
boot one read-only Debian with an overlay in memory; the server has a disk of
its own for what it exports. KVM is not needed; ``$CACHEADMIN_NFS_ACCELERATOR``
names what QEMU should use instead of emulation (``kvm``).
Each guest serves the index of ``nfs_images`` on its own port 8000.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from tests.support.nfs_images import Images

#: How long a guest may take to start, in seconds: emulated, on a busy machine.
_START_SECONDS = 300

# What costs an emulator a quarter of its time: deep page tables, checks of each access,
# and string functions with wide registers.
_PROCESSOR = "max,-la57,-smap,-smep,-umip,-pku,-avx,-avx2"

_SERVE = """
set -e
mount /dev/vdc /srv
modprobe nfsd
mount -t nfsd nfsd /proc/fs/nfsd
mkdir -p /run/rpc_pipefs /var/lib/nfs/v4recovery
rpcbind -w
rpc.statd
rpc.mountd
exportfs -o ro,fsid=0,no_subtree_check 10.9.0.0/16:/srv
rpc.nfsd --grace-time 10 --lease-time 10 8
"""


@dataclass(frozen=True)
class Done:
    """How a program in a guest ended."""

    code: int
    """Exit code; 255 when it could not be started, or did not end in time."""

    stdout: str
    stderr: str
    seconds: float
    """How long it ran, by the guest's clock."""

    def check(self, code: int = 0) -> Done:
        """Return itself; raise AssertionError, with both outputs, when it ended otherwise."""
        if self.code != code:
            raise AssertionError(f"code {self.code}, not {code}\n{self.stdout}{self.stderr}")
        return self


class Guest:
    """One virtual machine; ``name`` is its host name."""

    def __init__(
        self,
        name: str,
        images: Images,
        folder: Path,
        wires: Sequence[tuple[str, str]],
        number: int,
        disk: Path | None = None,
    ) -> None:
        """``wires``: for each network card (netdev options of QEMU, address with bits)."""
        self.name = name
        self.console = folder / f"{name}.console"
        self._answers: dict[int, Future[Done]] = {}
        self._lock = threading.Lock()
        self._last = 0
        self._ready: Future[None] = Future()
        self._log = folder / f"{name}.qemu"
        agent = folder / f"{name}.agent"
        disks = [(images.root, "on"), (images.programs, "on")]
        command = [*_machine(name, images, [address for _, address in wires])]
        command += ["-serial", f"file:{self.console}"]
        command += ["-device", "virtio-serial", "-device", "virtserialport,chardev=agent"]
        command += ["-chardev", f"socket,id=agent,path={agent},server=on,wait=off"]
        for file, read_only in disks + ([(disk, "off")] if disk else []):
            locking = "off" if read_only == "on" else "on"
            drive = f"file={file},format=raw,if=virtio,readonly={read_only},file.locking={locking}"
            command += ["-drive", drive]
        for card, (netdev, _) in enumerate(wires):
            address = f"52:54:00:00:{number:02x}:{card:02x}"
            command += ["-netdev", f"{netdev},id=net{card}"]
            command += ["-device", f"virtio-net-pci,netdev=net{card},mac={address},romfile="]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._socket = self._connect(agent)
        threading.Thread(target=self._listen, daemon=True).start()

    def wait(self) -> None:
        """Wait until the guest has started. Raises AssertionError with what its console says."""
        end = time.monotonic() + _START_SECONDS
        while not self._ready.done():
            if self._process.poll() is not None or time.monotonic() > end:
                console = self.console.read_text(errors="replace")
                raise AssertionError(f"{self.name}: {self._log.read_text()}{console}")
            # The interval between two looks, for the failure to have the console.
            time.sleep(0.1)

    def start(
        self,
        *words: str | os.PathLike[str],
        text: str = "",
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        uid: int = 0,
        groups: Sequence[int] = (),
        timeout: float = 600,
    ) -> Future[Done]:
        """Start a program in the guest, with ``text`` on its stdin."""
        future: Future[Done] = Future()
        with self._lock:
            self._last += 1
            self._answers[self._last] = future
            asked = {"id": self._last, "argv": [os.fspath(word) for word in words], "input": text}
            asked |= {"env": dict(env or {}), "cwd": cwd, "uid": uid, "groups": list(groups)}
            self._socket.sendall(json.dumps(asked | {"timeout": timeout}).encode() + b"\n")
        return future

    def run(self, *words: str | os.PathLike[str], **options: object) -> Done:
        """Run a program in the guest to its end; options as of ``start``."""
        return self.start(*words, **options).result()  # type: ignore[arg-type]

    def sh(self, script: str, **options: object) -> Done:
        """Run a shell script in the guest; it must succeed."""
        return self.run("bash", "-c", script, **options).check()

    def put(self, path: str, content: str, mode: str = "644") -> None:
        """Write a file in the guest."""
        encoded = base64.b64encode(content.encode()).decode()
        place = shlex.quote(path)
        self.sh(f"base64 -d > {place} && chmod {mode} {place}", text=encoded)

    def pause(self) -> None:
        """Let it stand still, as a machine that is lost: it answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on; its clocks have gone on meanwhile."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Switch it off."""
        self._process.kill()
        self._process.wait()
        self._socket.close()

    def _connect(self, path: Path) -> socket.socket:
        for _ in range(400):
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(os.fspath(path))
            except OSError:
                connection.close()
                if self._process.poll() is not None:
                    break
                # The interval between two attempts.
                time.sleep(0.05)
            else:
                return connection
        raise AssertionError(f"QEMU did not start: {self._log.read_text()}")

    def _listen(self) -> None:
        with self._socket.makefile("rb") as answers:
            for line in answers:
                answer = json.loads(line)
                number = answer.pop("id")
                if number == 0:
                    self._ready.set_result(None)
                else:
                    done = Done(
                        answer["status"], answer["stdout"], answer["stderr"], answer["seconds"]
                    )
                    self._answers.pop(number).set_result(done)


class Lab:
    """A server, and clients that are wired to the server alone."""

    def __init__(self, images: Images, clients: int = 2) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="cacheadmin-nfs-")
        folder = Path(self._temporary.name)
        data = folder / "data.img"
        with data.open("wb") as file:
            file.truncate(2 << 30)
        subprocess.run(["mkfs.ext4", "-q", "-F", data], check=True)
        wires = [folder / f"wire{number}" for number in range(clients)]
        unix = "stream,server={},addr.type=unix,addr.path={}"
        ends = [(unix.format("on", wire), f"10.9.{i}.1/24") for i, wire in enumerate(wires)]
        self.guests: list[Guest] = []
        self.clients: list[Guest] = []
        try:
            self.server = Guest("server", images, folder, ends, 0, data)
            self.guests.append(self.server)
            for number, wire in enumerate(wires):
                end = (unix.format("off", wire), f"10.9.{number}.2/24")
                guest = Guest(f"client{number + 1}", images, folder, [end], number + 1)
                self.clients.append(guest)
                self.guests.append(guest)
            for guest in self.guests:
                guest.wait()
            self.server.sh(_SERVE)
            for guest in self.guests:
                words = ("python3", "-m", "http.server", "8000", "-d", "/programs/index")
                guest.start(*words, timeout=86_400)
        except BaseException:
            self.close()
            raise

    def share(self, name: str, options: str = "rw,sync,no_subtree_check,no_root_squash") -> None:
        """Export ``/srv/NAME`` of the server to all clients; again: with other options."""
        # NFS 4 looks for a folder's own options where something is mounted.
        folder = f"/srv/{name}"
        bind = f"mkdir -p {folder}; mountpoint -q {folder} || mount --bind {folder} {folder}"
        self.server.sh(f"{bind}; exportfs -o {options} 10.9.0.0/16:{folder}")

    def mount(self, client: Guest, name: str, target: str, options: str = "vers=4.2") -> None:
        """Mount a share. NFS 4 names it from the exported root, NFS 3 by its whole path."""
        path = f"/srv/{name}" if "vers=3" in options.split(",") else f"/{name}"
        wire = 0 if client is self.server else self.clients.index(client)
        source = f"10.9.{wire}.1:{path}"
        locks = "pgrep -x rpc.statd || { rpcbind -w; rpc.statd; }"  # NFS 3 alone needs them
        client.sh(f"mkdir -p {target}; {locks}")
        client.run("mount", "-t", "nfs", "-o", options, source, target).check()

    @property
    def users(self) -> list[Guest]:
        """All machines as clients: the server, last, can mount what it exports itself."""
        return [*self.clients, self.server]

    def close(self) -> None:
        """Switch all off, and delete what they wrote."""
        for guest in self.guests:
            guest.close()
        self._temporary.cleanup()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _machine(name: str, images: Images, addresses: Sequence[str]) -> list[str]:
    """Return the command line of a machine, but for its disks and wires."""
    # On a busy machine an emulated timer comes late: no checks of it.
    words = "console=ttyS0 quiet panic=-1 net.ifnames=0 mitigations=off no_timer_check nowatchdog"
    words += f" rcupdate.rcu_cpu_stall_suppress=1 lab.host={name} lab.address={','.join(addresses)}"
    accelerator = os.environ.get("CACHEADMIN_NFS_ACCELERATOR") or "tcg,tb-size=256"
    command = ["qemu-system-x86_64", "-accel", accelerator, "-machine", "q35"]
    command += ["-m", "768M", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    command += ["-cpu", _PROCESSOR, "-smp", "1", "-kernel", os.fspath(images.kernel)]
    return [*command, "-initrd", os.fspath(images.initramfs), "-append", words]
