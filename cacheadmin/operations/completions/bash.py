"""The completion file for bash: one table of calls, and a function that looks into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.operations.completions.calls import FILE, POLICY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cacheadmin.operations.completions.calls import Call

# `compgen -W` is not used: it expands what it is given, and names of files are
# somebody's. Only what may be a policy's bare name gets through.
_HEAD = """\
# bash completion of cacheadmin. Made by `make completions`: do not edit.

_cacheadmin_policies() {
    local folder file name
    for folder in "${CACHEADMIN_POLICY_DIR-}" "${XDG_CONFIG_HOME:-$HOME/.config}/cacheadmin" \\
        /etc/cacheadmin/policies.d; do
        [[ $folder == /* ]] || continue
        for file in "$folder"/*.yaml; do
            name=${file##*/}
            name=${name%.yaml}
            [[ -f $file && $name =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] && printf '%s\\n' "$name"
        done
    done
}

# Sets what follows a call: commands, options, options that take a value, kinds of arguments.
_cacheadmin_call() {
    commands='' options='' valued='' arguments=''
    case $1 in
"""

_MIDDLE = """\
    esac
}

# Prints what an option of a call takes.
_cacheadmin_values() {
    case "$1 $2" in
"""

_TAIL = """\
    esac
}

_cacheadmin() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local call='' commands options valued arguments word index place=0 found=()
    COMPREPLY=()
    # `--option=value` comes as three words.
    [[ $prev == '=' ]] && prev=${COMP_WORDS[COMP_CWORD - 2]}
    [[ $cur == '=' ]] && cur=''
    _cacheadmin_call ''
    for ((index = 1; index < COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        if [[ $word == -* ]]; then
            if [[ " $valued " == *" $word "* ]]; then
                [[ ${COMP_WORDS[index + 1]-} == '=' ]] && ((index += 1))
                ((index += 1))
            fi
        elif [[ " $commands " == *" $word "* ]]; then
            call="${call:+$call }$word"
            _cacheadmin_call "$call"
        else
            ((place += 1))
        fi
    done
    if [[ " $valued " == *" $prev "* ]]; then
        mapfile -t found < <(_cacheadmin_values "$call" "$prev")
    elif [[ $cur == -* ]]; then
        read -ra found <<<"$options"
    elif [[ -n $commands ]]; then
        read -ra found <<<"$commands"
    else
        read -ra found <<<"$arguments"
        word=${found[place]-}
        [[ -z $word && ${found[-1]-} == *... ]] && word=${found[-1]}
        found=()
        [[ $word == policy* ]] && mapfile -t found < <(_cacheadmin_policies)
    fi
    for word in "${found[@]}"; do
        [[ $word == "$cur"* ]] && COMPREPLY+=("$word")
    done
}

# Without a match: files, as for any command.
complete -o default -F _cacheadmin cacheadmin
"""


def bash_completion(calls: Iterable[Call]) -> str:
    """Return the file for bash."""
    calls = list(calls)
    table = [line for call in calls for line in _facts(call)]
    values = [line for call in calls for line in _values(call)]
    values.append("        *) ;;")
    return _HEAD + "\n".join(table) + "\n" + _MIDDLE + "\n".join(values) + "\n" + _TAIL


def _facts(call: Call) -> Iterator[str]:
    facts = {
        "commands": " ".join(name for name, _ in call.commands),
        "options": " ".join(name for option in call.options for name in option.names),
        "valued": " ".join(n for option in call.options if option.takes for n in option.names),
        "arguments": " ".join(call.arguments) + ("..." if call.repeats else ""),
    }
    yield f"        '{' '.join(call.words)}')"
    for key, words in facts.items():
        if words:
            yield f"            {key}='{words}'"
    yield "            ;;"


def _values(call: Call) -> Iterator[str]:
    for option in call.options:
        patterns = " | ".join(f"'{' '.join(call.words)} {name}'" for name in option.names)
        if option.choices:
            yield f"        {patterns}) printf '%s\\n' {' '.join(option.choices)} ;;"
        elif option.takes == POLICY:
            yield f"        {patterns}) _cacheadmin_policies ;;"
        else:
            assert option.takes in ("", FILE)  # noqa: S101
