"""Completion files for shells, made from the program's own commands."""

from cacheadmin.operations.completions.bash import bash_completion
from cacheadmin.operations.completions.calls import calls_of
from cacheadmin.operations.completions.fish import fish_completion
from cacheadmin.operations.completions.zsh import zsh_completion

__all__ = ["bash_completion", "calls_of", "fish_completion", "zsh_completion"]
