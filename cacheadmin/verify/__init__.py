"""Are archives still what their wheels said they are?"""
