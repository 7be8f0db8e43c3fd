"""Who uses a cache: ``facts`` are the values, ``collecting`` gathers them.

``locating`` tells whether a link leads into the cache, ``environments`` scans
one environment, ``discovery`` finds them, ``processes`` looks at what runs,
``releases`` at which uv is in use, ``filesystem`` and ``lock_holders`` at the
cache's surroundings.
"""
