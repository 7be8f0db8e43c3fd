"""Reading, measuring and removing among files that other people control.

Everything works through directory descriptors, follows no link, reads only
regular files, and is bounded in size and depth.
"""
