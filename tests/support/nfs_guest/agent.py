"""Runs the commands that arrive on a guest's virtio port, one JSON document a line.

Asked: {"id", "argv", "input", "env", "cwd", "uid", "groups", "timeout"}. Answered:
{"id", "status", "stdout", "stderr", "seconds"}. A process that outlives its command
must not keep the command's output open. Runs in the guest, with its Python alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from typing import Any

PORT = "/dev/vport0p1"


def answer(asked: dict[str, Any], port: int, lock: threading.Lock) -> None:
    """Run one command to its end, and answer."""
    begun = time.monotonic()
    uid = asked["uid"]
    try:
        done = subprocess.run(
            asked["argv"],
            input=asked["input"].encode(),
            capture_output=True,
            cwd=asked["cwd"],
            env=os.environ | asked["env"],
            timeout=asked["timeout"],
            check=False,
            **({"user": uid, "group": uid, "extra_groups": asked["groups"]} if uid else {}),
        )
        status, out, err = done.returncode, done.stdout, done.stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        status, out, err = 255, b"", f"agent: {error}".encode()
    reply = {"id": asked["id"], "status": status, "seconds": time.monotonic() - begun}
    reply |= {"stdout": out.decode(errors="replace"), "stderr": err.decode(errors="replace")}
    line = json.dumps(reply).encode() + b"\n"
    with lock:
        while line:
            line = line[os.write(port, line) :]


def main() -> None:
    """Answer for ever."""
    while not os.path.exists(PORT):
        time.sleep(0.05)
    port = os.open(PORT, os.O_RDWR)
    lock = threading.Lock()
    os.write(port, b'{"id": 0}\n')
    waiting = b""
    while True:
        got = os.read(port, 65536)
        if not got:  # nobody at the other end
            time.sleep(0.05)
        *lines, waiting = (waiting + got).split(b"\n")
        for line in lines:
            asked = json.loads(line)
            threading.Thread(target=answer, args=(asked, port, lock), daemon=True).start()


if __name__ == "__main__":
    main()
