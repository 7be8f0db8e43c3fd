"""The completion file for bash: one table of calls, and a function that looks into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.operations.completions.calls import FILE, POLICY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cacheadmin.operations.completions.calls import Call

# `compgen -W` is not used: it expands what it is given, and names of files are
# chosen by users. Only what may be a policy's bare name gets through.
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

# Prints the path of a policy that is named as on the command line.
_cacheadmin_policy_file() {
    local folder
    if [[ $1 == */* || $1 == *.yaml || $1 == *.yml ]]; then
        printf '%s\\n' "$1"
        return
    fi
    for folder in "${CACHEADMIN_POLICY_DIR-}" "${XDG_CONFIG_HOME:-$HOME/.config}/cacheadmin" \\
        /etc/cacheadmin/policies.d; do
        if [[ $folder == /* && -f $folder/$1.yaml ]]; then
            printf '%s\\n' "$folder/$1.yaml"
            return
        fi
    done
}

# Prints the past runs of a policy; without one of the caller's own cache.
_cacheadmin_run_ids() {
    local line file folder name section='' cache='' quarantine=''
    local path_of="(^|[ {])(cache|path): *[\\"']?(/[^\\"'#,}]*)"
    if [[ -z $1 ]]; then
        cache=${UV_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/uv}
    else
        file=$(_cacheadmin_policy_file "$1")
        [[ -f $file && -r $file ]] || return 0
        while IFS= read -r line; do
            [[ $line =~ ^([a-z_]+): ]] && section=${BASH_REMATCH[1]}
            [[ $line =~ $path_of ]] || continue
            name=${BASH_REMATCH[3]%"${BASH_REMATCH[3]##*[![:space:]]}"}
            case "$section ${BASH_REMATCH[2]}" in
                'cache cache') cache=$name ;;
                'quarantine path') quarantine=$name ;;
            esac
        done <"$file"
    fi
    for folder in "${quarantine:-$cache.cacheadmin/quarantine}" "$cache/.cacheadmin/quarantine"; do
        [[ $folder == /* ]] || continue
        for name in "$folder"/*-*; do
            name=${name##*/}
            [[ $name =~ ^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}$ ]] && printf '%s\\n' "$name"
        done
    done
    return 0
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
    local call='' commands options valued arguments word index place=0 found=() first=''
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
            [[ -n $first ]] || first=$word
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
        case $word in
            policy*)
                mapfile -t found < <(_cacheadmin_policies)
                # POLICY may be left out: then the first argument is what follows it.
                [[ $arguments == 'policy run' ]] && mapfile -t -O "${#found[@]}" found \\
                    < <(_cacheadmin_run_ids '')
                ;;
            run*) mapfile -t found < <(_cacheadmin_run_ids "$first") ;;
        esac
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
