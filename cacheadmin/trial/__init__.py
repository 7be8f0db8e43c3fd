"""Trial: what is removed on absence alone goes on working until it has stayed silent.

``tripwires`` has the argument and the moves, ``folder`` the place, ``ledger``
what is remembered, ``judging`` what silence and springs prove (pure), ``kin``
who comes back together, ``blindness`` where silence proves nothing, and
``trials`` is what others call.
"""
