"""Make every user's own `uv cache prune` harmless: planted roots, and their guard.

uv's prune of any release keeps an archive when a symlink in *its own* source
bucket resolves to it, and does not ask who made that symlink. ``roots`` says
what they are called, ``folders`` and ``planting`` put them there, ``protecting``
does so for what a look found in use, ``guarding`` does it again whenever
a user's prune has removed them.
"""
