"""Every system call of every command that changes something fails once, or is the last.

    python -m tests.faults                  # all calls, one error each and a kill
    python -m tests.faults --every-error    # each call with each error it can return
    python -m tests.faults --sample 7 prune # each seventh call of one command

``small_site`` builds what commands work on, ``commands`` says what they may leave,
``errors`` which call can return what, ``trying`` does it.
"""
