"""Deciding what may go: pure functions over policy, inventory and evidence.

Start at ``planning.make_plan``. ``bucket_needs`` says which buckets users
need, ``liveness`` marks what is alive (``marks``), ``rules/`` holds one module a kind of
entry, ``limits`` why a verdict is less than safe. Nothing here touches a disk
(import-linter checks it), and every function takes ``now_ns``.
"""
