"""Let equal files of several archives share their blocks.

``duplicates`` finds them, ``running`` shares them. Nothing is linked: each archive keeps
its own inodes, so no user can change another's files through them.
"""
