"""All that is known about uv: releases, the layout of its cache, the bytes it writes.

``releases`` is a table of data, ``layout`` names, ``pointers``,
``interpreters`` and ``environment_config`` parse bytes that users can write,
with ``untrusted_msgpack``; these are pure.
``cache_lock`` takes uv's lock.
"""
