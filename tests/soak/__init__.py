"""Everybody at once for minutes: six users, four uv releases, administrators, a backup, an oracle.

    python -m tests.soak --minutes 10        # `make soak`; as root

``site`` is what they share, ``people`` the users, ``administrators`` all that runs
cacheadmin, ``oracle`` what follows links and imports packages without asking the
product, ``ending`` what must be gone at last, ``figures`` what is printed.
"""
