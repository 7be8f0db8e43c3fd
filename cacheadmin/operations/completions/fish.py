"""The completion file for fish: a line for each thing that may come next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.operations.completions.calls import FILE, POLICY, RUN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cacheadmin.operations.completions.calls import Call, CalledOption

_HEAD = """\
# fish completion of cacheadmin. Made by `make completions`: do not edit.

function __cacheadmin_policies
    set -l home $HOME/.config
    set -q XDG_CONFIG_HOME; and set home $XDG_CONFIG_HOME
    for folder in $CACHEADMIN_POLICY_DIR $home/cacheadmin /etc/cacheadmin/policies.d
        string match -q '/*' -- $folder; or continue
        for file in $folder/*.yaml
            string match -rg '/([A-Za-z0-9][A-Za-z0-9._-]*)\\.yaml$' -- $file
        end
    end
end

# The past runs of the policy that was typed; without one of the caller's own cache.
function __cacheadmin_run_ids
    set -l calls @CALLS@
    set -l valued @VALUED@
    set -l call
    set -l skip 0
    set -l policy
    for word in (commandline -opc)[2..]
        if test $skip = 1
            set skip 0
        else if string match -q -- '-*' $word
            contains -- $word $valued; and set skip 1
        else if contains -- (string join ' ' $call $word) $calls
            set call $call $word
        else if test -z "$policy"
            set policy $word
        end
    end
    set -l home $HOME/.config
    set -q XDG_CONFIG_HOME; and set home $XDG_CONFIG_HOME
    set -l cache
    set -l quarantine
    if test -z "$policy"
        set cache $HOME/.cache/uv
        set -q XDG_CACHE_HOME; and set cache $XDG_CACHE_HOME/uv
        set -q UV_CACHE_DIR; and set cache $UV_CACHE_DIR
    else
        set -l file
        if string match -qr '/|[.]ya?ml$' -- $policy
            set file $policy
        else
            for folder in $CACHEADMIN_POLICY_DIR $home/cacheadmin /etc/cacheadmin/policies.d
                string match -q '/*' -- $folder; and test -f $folder/$policy.yaml; or continue
                set file $folder/$policy.yaml
                break
            end
        end
        test -n "$file"; and test -r $file; or return 0
        set -l section
        while read -l line
            set -l found (string match -rg '^([a-z_]+):' -- $line); and set section $found
            set found (string match -rg '(?:^|[ {])(cache|path): *["\\']?(/[^"\\'#,}]*)' -- $line)
            or continue
            set -l name (string trim -- $found[2])
            test "$section $found[1]" = 'cache cache'; and set cache $name
            test "$section $found[1]" = 'quarantine path'; and set quarantine $name
        end <$file
    end
    test -z "$quarantine"; and set quarantine $cache.cacheadmin/quarantine
    for folder in $quarantine $cache/.cacheadmin/quarantine
        for name in $folder/*-*
            string match -rg '/([0-9]{8}T[0-9]{6}Z-[0-9a-f]{6})$' -- $name
        end
    end
end

# Whether the words so far are this call, and with so many arguments, if that is asked.
function __cacheadmin_at
    set -l calls @CALLS@
    set -l valued @VALUED@
    set -l call
    set -l place 0
    set -l skip 0
    for word in (commandline -opc)[2..]
        if test $skip = 1
            set skip 0
        else if string match -q -- '-*' $word
            contains -- $word $valued; and set skip 1
        else if contains -- (string join ' ' $call $word) $calls
            set call $call $word
        else
            set place (math $place + 1)
        end
    end
    test "$call" = "$argv[1]"; or return 1
    set -q argv[2]; or return 0
    string match -q '*+' -- $argv[2]; and return 0
    test $place = $argv[2]
end

complete -c cacheadmin -f
"""


def fish_completion(calls: Iterable[Call]) -> str:
    """Return the file for fish."""
    calls = list(calls)
    names = " ".join(_quoted(" ".join(call.words)) for call in calls if call.words)
    valued = dict.fromkeys(
        name for call in calls for option in call.options if option.takes for name in option.names
    )
    head = _HEAD.replace("@CALLS@", names).replace("@VALUED@", " ".join(valued))
    return head + "\n".join(line for call in calls for line in _lines(call)) + "\n"


def _lines(call: Call) -> Iterator[str]:
    words = " ".join(call.words)
    here = f'complete -c cacheadmin -n \'__cacheadmin_at "{words}"'
    for name, text in call.commands:
        yield f"{here}' -a {name} -d {_quoted(text)}"
    for number, kind in enumerate(call.arguments):
        place = "+" if call.repeats and number + 1 == len(call.arguments) else ""
        if kind == POLICY:
            yield f"{here} {number}{place}' -a '(__cacheadmin_policies)' -d policy"
        if kind == RUN:
            # POLICY may be left out: then the run is the first argument.
            yield f"{here} 0' -a '(__cacheadmin_run_ids)' -d run"
            yield f"{here} {number}{place}' -a '(__cacheadmin_run_ids)' -d run"
        if kind in (POLICY, FILE):
            yield f"{here} {number}{place}' -F"
    for option in call.options:
        yield f"{here}' {_option(option)}"


def _option(option: CalledOption) -> str:
    parts = [f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in option.names]
    if option.choices:
        parts.append(f"-x -a {_quoted(' '.join(option.choices))}")
    elif option.takes == POLICY:
        parts.append("-x -a '(__cacheadmin_policies)'")
    elif option.takes:
        parts.append("-r -F")
    return f"{' '.join(parts)} -d {_quoted(option.help)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
