"""What is in a cache: ``entries`` are the facts, ``reading`` collects them.

``opening`` decides what a uv cache is, ``archives`` names packages,
``pointer_folders`` reads wheel, source and environment buckets.
"""
