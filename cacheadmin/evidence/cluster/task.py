"""What a worker of the cluster runs: one process a batch. Only the standard library here.

Readers are forked, and a Dask worker has threads: so a batch is read in a process of its
own, which also ends with its worker's limits and leaves nothing behind.
"""

from __future__ import annotations

import struct
import subprocess
import sys

# Longer than any batch takes whose readers keep to their deadlines.
LONGEST_SECONDS = 3600.0

SIZES = struct.Struct(">QQ")


def read_batch(look: bytes, batch: bytes) -> bytes:
    """Return the answers for a batch, as plain data; raises where there are none."""
    done = subprocess.run(
        [sys.executable, "-m", "cacheadmin.evidence.cluster.worker"],
        input=SIZES.pack(len(look), len(batch)) + look + batch,
        capture_output=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise RuntimeError(last[:300] or f"exit code {done.returncode}")
    return done.stdout
