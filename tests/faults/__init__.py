"""Every system call of every command that changes something fails once, or is the last.

    python -m tests.faults                  # all calls, one error each and a kill
    python -m tests.faults --every-error    # each call with each error it can return
    python -m tests.faults prune --most 70  # seventy faults of one command, spread over it
    python -m tests.faults --json FILE      # go on from these figures, and keep them

A fault after which something was wrong is tried once more, by itself and at normal
priority; what was well then is counted apart.

``small_site`` builds what commands work on, ``commands`` says what they may leave,
``errors`` which call can return what, ``trying`` does it.
"""
