"""Environments read by the workers of a Dask cluster (``scan.executor: dask``).

A batch of environments is one task. What a worker answers is believed only where it
sees the very folders that this host sees (``fs.same_place``), and is as untrusted as
what a reader answers. Whatever no worker has answered is read here, as without a
cluster: a worker that dies, or sees another disk, costs time.

- ``work``: what is sent, and what comes back, as plain data.
- ``task``: what runs in a worker: it starts ``worker``, in a process of its own.
- ``client``: the process that speaks with the scheduler, without rights to write.
- ``coordinator``: what starts that process, and takes its answers.
"""
