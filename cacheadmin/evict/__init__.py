"""Take a yanked or malicious release out of the cache now.

``wanted`` says which packages, ``holding`` who has them, ``planning`` what is removed;
the removal itself is a run of ``prune``, undone by `runs restore`.
"""
