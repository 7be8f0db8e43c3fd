"""What virtual hosts boot from: a kernel, an initramfs, and two filesystems they all share.

    images = nfs_images()        # seconds, or a minute or two the first time
    images.kernel, images.initramfs, images.root, images.programs

Everything comes from Debian's packages, by apt's configured sources, and from
wheels, by pip's configured index. Finished parts are kept in ``.nfs-images`` of
the repository (``$CACHEADMIN_NFS_IMAGES`` overrides), each under a name that
tells what it was made from; remove ``debian-*.tar`` there to get newer packages.

cacheadmin and what it needs are wheels, installed for the Python of the guests.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.packages import packages_folder, project_of
from tests.support.uv_releases import REPOSITORY, uv_binary

#: uv releases that the guests have, as ``/programs/uv-VERSION/bin/uv``.
UV_RELEASES = ("0.8.5", "0.13.9")

#: Packages that the guests' index serves: all small and pure.
PACKAGES = ("six", "idna", "pytz", "cowsay")

_PROGRAMS = ("qemu-system-x86_64", "mmdebstrap", "cpio", "mkfs.ext4", "apt-get", "dpkg")
_GUEST = Path(__file__).with_name("nfs_guest")
_KERNEL = "linux-image-cloud-amd64"
_DEBIAN = (
    "python3,nfs-kernel-server,nfs-common,rpcbind,kmod,iproute2,procps,util-linux,mount,"
    "busybox-static"
)
_DRIVERS = ("virtio_pci", "virtio_blk", "overlay")

# A file of the wheel's entry point would name the Python that installed it.
_COMMAND = """#!/bin/sh
PYTHONPATH=/programs/modules exec /usr/bin/python3 -m cacheadmin "$@"
"""


@dataclass(frozen=True)
class Images:
    """Files that guests boot from; all are opened read-only."""

    kernel: Path
    initramfs: Path
    root: Path
    """A small Debian with an NFS server and client."""

    programs: Path
    """cacheadmin, uv releases and a package index; mounted on ``/programs``."""


def why_no_images() -> str:
    """Return what this machine lacks for virtual hosts, in words; empty when nothing."""
    if os.geteuid() != 0:
        return "needs root: files of a Debian belong to root"
    if os.uname().machine != "x86_64":
        return "needs an x86-64 machine"
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    if not _suite():
        return "needs Debian: /etc/os-release names no suite"
    return ""


def nfs_images() -> Images:
    """Return the images, building what is missing.

    Raises RuntimeError, with what a program said last, where Debian's packages can't be had.
    """
    folder = Path(os.environ.get("CACHEADMIN_NFS_IMAGES") or REPOSITORY / ".nfs-images")
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        system = folder / f"system-{_digest(_DEBIAN, _KERNEL, *_files(_GUEST))}"
        if not system.is_dir():
            with _unfinished(system) as unfinished:
                _build_system(_debian(folder), unfinished)
        version = (system / "python").read_text()
        programs = folder / f"programs-{_digest(*_files(REPOSITORY / 'cacheadmin'), _PROJECT)}"
        if not programs.is_dir():
            for older in folder.glob("programs-*"):
                shutil.rmtree(older)
            with _unfinished(programs) as unfinished:
                _build_programs(unfinished, version)
    return Images(
        system / "vmlinuz", system / "initramfs", system / "root.img", programs / "programs.img"
    )


_PROJECT = REPOSITORY / "pyproject.toml"


def _suite() -> str:
    try:
        text = Path("/etc/os-release").read_text()
    except OSError:
        return ""
    found = re.search(r"^VERSION_CODENAME=(\w+)$", text, re.MULTILINE)
    return found[1] if found else ""


def _files(folder: Path) -> list[Path]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in files if path.suffix != ".pyc"]


def _digest(*parts: str | Path) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.read_bytes() if isinstance(part, Path) else part.encode())
    return digest.hexdigest()[:16]


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{target.name}.") as temporary:
        folder = Path(temporary) / "finished"
        folder.mkdir()
        yield folder
        folder.rename(target)


def _debian(folder: Path) -> Path:
    """Return a small Debian as an archive, made by the mirror of apt's configuration."""
    suite = _suite()
    archive = folder / f"debian-{suite}-{_digest(_DEBIAN)}.tar"
    if not archive.exists():
        lists = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
        sources = [
            path
            for path in lists
            if path.is_file() and re.search(rf"\b{suite}\b", path.read_text())
        ]
        unfinished = archive.with_suffix(".unfinished")
        command = ["mmdebstrap", "--quiet", "--format=tar", "--variant=minbase"]
        command += [f"--include={_DEBIAN}", '--aptopt=APT::Install-Recommends "false"']
        for what in ("doc", "man", "locale"):
            command.append(f"--dpkgopt=path-exclude=/usr/share/{what}/*")
        _run(*command, suite, unfinished, *sources)
        unfinished.rename(archive)
    return archive


def _build_system(debian: Path, out: Path) -> None:
    root, work = out.parent / "root", out.parent / "work"
    root.mkdir()
    work.mkdir()
    _run("tar", "-xf", debian, "-C", root)
    asked = _run("apt-cache", "depends", "--important", _KERNEL)
    named = re.search(r"Depends: (linux-image-\S+)", asked)
    _run(
        "apt-get",
        "-q",
        "-o",
        "APT::Sandbox::User=root",
        "download",
        named[1] if named else _KERNEL,
        cwd=work,
    )
    (package,) = work.glob("*.deb")
    _run("dpkg", "-x", package, work / "kernel")
    _run("cp", "-a", *(work / "kernel/lib/modules").parent.glob("modules"), root / "usr/lib/")
    (version,) = os.listdir(root / "usr/lib/modules")
    _run("chroot", root, "depmod", version)
    shutil.copy(work / f"kernel/boot/vmlinuz-{version}", out / "vmlinuz")
    _build_initramfs(root, version, out / "initramfs")
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    (out / "python").write_text(_run("chroot", root, "python3", "-c", program).strip())
    for name in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(root / name)
    (root / "sbin/init").unlink(missing_ok=True)
    (root / "programs").mkdir()
    for name in ("init", "agent.py"):
        shutil.copy(_GUEST / name, root / "sbin" / name)
        (root / "sbin" / name).chmod(0o755)
    _make_filesystem(root, out / "root.img", "2G")


def _build_initramfs(root: Path, version: str, out: Path) -> None:
    """Make the first filesystem of a guest: it loads the disk's driver, and goes on from there."""
    top = out.parent.parent / "initramfs"
    (top / "bin").mkdir(parents=True)
    (top / "modules").mkdir()
    shutil.copy(root / "bin/busybox", top / "bin")
    files: dict[str, None] = {}
    for driver in _DRIVERS:
        asked = _run("chroot", root, "modprobe", "-S", version, "--show-depends", driver)
        files |= dict.fromkeys(re.findall(r"^insmod (\S+)", asked, re.MULTILINE))
    for file in files:
        shutil.copy(f"{root}{file}", top / "modules")
    order = "".join(f"{os.path.basename(file)}\n" for file in files)
    (top / "modules/order").write_text(order)
    shutil.copy(_GUEST / "initrd-init", top / "init")
    (top / "init").chmod(0o755)
    pack = 'set -o pipefail; find . | cpio --quiet -o -H newc -R 0:0 | gzip -1 > "$0"'
    _run("bash", "-c", pack, out, cwd=top)


def _build_programs(out: Path, version: str) -> None:
    top, wheels = out.parent / "programs", out.parent / "wheels"
    (top / "bin").mkdir(parents=True)
    pip = [_python(version), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    _run(*pip, "wheel", "--wheel-dir", wheels, REPOSITORY)
    install = ["install", "--root-user-action=ignore", "--no-index", "--find-links", wheels]
    _run(*pip, *install, "--target", top / "modules", "cacheadmin")
    (top / "bin/cacheadmin").write_text(_COMMAND)
    (top / "bin/cacheadmin").chmod(0o755)
    for release in UV_RELEASES:
        shutil.copytree(uv_binary(release).parent, top / f"uv-{release}")
    _lay_out_index(top / "index")
    _run("chmod", "-R", "a+rX", top)
    _make_filesystem(top, out / "programs.img", "512M")


def _python(version: str) -> str:
    """Return a Python that builds wheels for the guests' Python."""
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return sys.executable
    found = shutil.which(f"python{version}")
    if found is None:
        raise RuntimeError(f"the guests have Python {version}, and here is no python{version}")
    return found


def _lay_out_index(folder: Path) -> None:
    """Lay small packages out as any web server can serve them."""
    for path in sorted(packages_folder().iterdir()):
        project = project_of(path.name)
        if project not in PACKAGES or path.suffix != ".whl":
            continue
        page = folder / "simple" / project / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, page.parent)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with page.open("a") as file:
            file.write(f'<a href="{path.name}#sha256={digest}">{path.name}</a><br>\n')


def _make_filesystem(folder: Path, image: Path, size: str) -> None:
    unfinished = image.with_suffix(".unfinished")
    _run("mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-d", folder, unfinished, size)
    unfinished.rename(image)


def _run(*words: str | Path, cwd: Path | None = None) -> str:
    command = [os.fspath(word) for word in words]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-5:]
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {' / '.join(said)}")
    return done.stdout
