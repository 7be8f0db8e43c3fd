"""Threads in the background that take no signals.

A signal to the process goes to any thread that does not block it, and Python
then runs the handler in the main one, although that may have blocked it to be
uninterrupted.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable


def start_quiet_thread(work: Callable[[], None]) -> threading.Thread:
    """Start ``work`` in a thread that the end of the process does not wait for; return it."""
    thread = threading.Thread(target=work, daemon=True)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        # It has the mask of who starts it.
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return thread
