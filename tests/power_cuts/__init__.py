"""A power cut at every flush of the disk, and between them: what is there when it comes back.

    python -m tests.power_cuts                        # ext4 and XFS, every command
    python -m tests.power_cuts prune --kinds xfs      # one command, one filesystem
    python -m tests.power_cuts --json FILE            # go on from these figures, and keep them

``recorded_disk`` is a disk that notes every write and flush in their order, ``cuts``
says which of them a power cut may leave, ``trying`` mounts what is left and looks.
"""
