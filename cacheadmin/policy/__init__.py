"""What a cache's owners allow: one YAML file, parsed once, immutable afterwards.

``model`` names every key with its meaning and default (the single source for
validation, JSON Schema and documentation), ``loading`` turns a file into it
with positions in every error, ``trust`` refuses files that others could have
written, ``locating`` finds a policy by name.
"""
