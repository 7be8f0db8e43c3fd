"""How much room a cache takes, and for whom: by bucket, package, version, owner, team.

``groups`` says what belongs where, ``archives`` measures each archive once and
remembers it, ``measuring`` puts a whole cache together.
"""
