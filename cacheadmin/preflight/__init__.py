"""The question before a prune: may I, and if not, why not?"""
