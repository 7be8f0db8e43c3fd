"""The completion file for zsh: a function a call, each an ``_arguments`` of its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.operations.completions.calls import FILE, POLICY, RUN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cacheadmin.operations.completions.calls import Call, CalledOption

_HEAD = """\
#compdef cacheadmin
# zsh completion of cacheadmin. Made by `make completions`: do not edit.

_cacheadmin_policies() {
  local -a folders names
  folders=("${CACHEADMIN_POLICY_DIR-}" "${XDG_CONFIG_HOME:-$HOME/.config}/cacheadmin" \\
    /etc/cacheadmin/policies.d)
  names=(${^${(M)folders:#/*}}/[A-Za-z0-9]*.yaml(N.:t:r))
  _alternative 'policies:policy:compadd -a names' 'files:policy file:_files'
}

# A policy, or without one a run of the caller's own cache.
_cacheadmin_policies_or_runs() {
  _cacheadmin_policies
  _cacheadmin_run_ids ''
}

# The past runs of a policy (the first argument that was typed).
_cacheadmin_run_ids() {
  local policy=${1-${line[1]}} file line_of section cache quarantine folder name
  local -a runs
  if [[ -z $policy ]]; then
    cache=${UV_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/uv}
  else
    if [[ $policy == */* || $policy == *.(yaml|yml) ]]; then
      file=$policy
    else
      for folder in "${CACHEADMIN_POLICY_DIR-}" "${XDG_CONFIG_HOME:-$HOME/.config}/cacheadmin" \\
        /etc/cacheadmin/policies.d; do
        [[ $folder == /* && -f $folder/$policy.yaml ]] || continue
        file=$folder/$policy.yaml
        break
      done
    fi
    [[ -n $file && -r $file ]] || return 1
    while IFS= read -r line_of; do
      [[ $line_of =~ '^([a-z_]+):' ]] && section=$match[1]
      [[ $line_of =~ "(^|[ {])(cache|path): *[\\"']?(/[^\\"'#,}]*)" ]] || continue
      name=${match[3]%"${match[3]##*[^[:space:]]}"}
      case "$section $match[2]" in
        'cache cache') cache=$name ;;
        'quarantine path') quarantine=$name ;;
      esac
    done <$file
  fi
  for folder in "${quarantine:-$cache.cacheadmin/quarantine}" "$cache/.cacheadmin/quarantine"; do
    [[ $folder == /* ]] || continue
    for name in $folder/*-*(N:t); do
      [[ $name =~ '^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}$' ]] && runs+=($name)
    done
  done
  (( $#runs )) && compadd -a runs
}
"""

_TAIL = """\

_cacheadmin "$@"
"""

_ACTIONS = {
    POLICY: "policy:_cacheadmin_policies",
    FILE: "file:_files",
    RUN: "run: _cacheadmin_run_ids",
}


def zsh_completion(calls: Iterable[Call]) -> str:
    """Return the file for zsh."""
    functions = ["\n".join(_function(call)) for call in calls]
    return _HEAD + "\n" + "\n\n".join(functions) + "\n" + _TAIL


def _function(call: Call) -> Iterator[str]:
    yield f"{_name(call.words)}() {{"
    if call.commands:
        yield "  local curcontext=$curcontext state line ret=1"
        yield "  local -a commands"
        yield "  commands=("
        for name, text in call.commands:
            yield f"    {_quoted(f'{name}:{_plain(text)}')}"
        yield "  )"
    specifications = [*map(_option, call.options), *_arguments(call)]
    yield f"  _arguments {'-C ' if call.commands else ''}-s \\"
    ending = " && ret=0" if call.commands else ""
    yield " \\\n".join(f"    {words}" for words in specifications) + ending
    if call.commands:
        yield "  case $state in"
        yield "    command) _describe -t commands command commands && ret=0 ;;"
        yield f"    rest) _call_function ret {_name(call.words)}_${{words[1]}} ;;"
        yield "  esac"
        yield "  return ret"
    yield "}"


def _name(words: tuple[str, ...]) -> str:
    return "_".join(("_cacheadmin", *words))


def _option(option: CalledOption) -> str:
    value = ""
    if option.choices:
        value = f":value:({' '.join(option.choices)})"
    elif option.takes:
        value = ":" + _ACTIONS.get(option.takes, "value: ")
    text = f"[{_plain(option.help)}]{value}"
    if option.repeats:
        name = option.names[0]
        return _quoted(f"*{name}{text}")
    if len(option.names) == 1:
        return _quoted(option.names[0] + text)
    names = " ".join(option.names)
    return f"'({names})'{{{','.join(option.names)}}}{_quoted(text)}"


def _arguments(call: Call) -> Iterator[str]:
    if call.commands:
        yield "'1:command:->command'"
        yield "'*::argument:->rest'"
        return
    for number, kind in enumerate(call.arguments, 1):
        last = number == len(call.arguments)
        place = "*" if call.repeats and last else f"{number}"
        action = _ACTIONS.get(kind, "argument: ")
        if kind == POLICY and RUN in call.arguments:
            action = "policy:_cacheadmin_policies_or_runs"
        yield _quoted(f"{place}:{action}")


def _plain(text: str) -> str:
    """Return text without what ``_arguments`` and ``_describe`` take for their own."""
    return text.replace("\\", "").replace("[", "(").replace("]", ")").replace(":", " -")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
