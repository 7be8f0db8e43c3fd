"""One look at everything that a plan rests on, its sizes, and what a prune remembers of it."""
