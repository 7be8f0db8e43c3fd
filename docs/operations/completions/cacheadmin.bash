# bash completion of cacheadmin. Made by `make completions`: do not edit.

_cacheadmin_policies() {
    local folder file name
    for folder in "${CACHEADMIN_POLICY_DIR-}" "${XDG_CONFIG_HOME:-$HOME/.config}/cacheadmin" \
        /etc/cacheadmin/policies.d; do
        [[ $folder == /* ]] || continue
        for file in "$folder"/*.yaml; do
            name=${file##*/}
            name=${name%.yaml}
            [[ -f $file && $name =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] && printf '%s\n' "$name"
        done
    done
}

# Prints the path of a policy that is named as on the command line.
_cacheadmin_policy_file() {
    local folder
    if [[ $1 == */* || $1 == *.yaml || $1 == *.yml ]]; then
        printf '%s\n' "$1"
        return
    fi
    for folder in "${CACHEADMIN_POLICY_DIR-}" "${XDG_CONFIG_HOME:-$HOME/.config}/cacheadmin" \
        /etc/cacheadmin/policies.d; do
        if [[ $folder == /* && -f $folder/$1.yaml ]]; then
            printf '%s\n' "$folder/$1.yaml"
            return
        fi
    done
}

# Prints the past runs of a policy; without one of the caller's own cache.
_cacheadmin_run_ids() {
    local line file folder name section='' cache='' quarantine=''
    local path_of="(^|[ {])(cache|path): *[\"']?(/[^\"'#,}]*)"
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
            [[ $name =~ ^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}$ ]] && printf '%s\n' "$name"
        done
    done
    return 0
}

# Sets what follows a call: commands, options, options that take a value, kinds of arguments.
_cacheadmin_call() {
    commands='' options='' valued='' arguments=''
    case $1 in
        '')
            commands='status preflight plan prune simulate evict explain scan schemas usage report audit dedupe doctor verify protect guard observe help runs venv pin policy uv'
            options='--quiet -q --verbose -v --wide --color --version -h --help'
            valued='--color'
            ;;
        'status')
            options='--all --format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--format --color'
            arguments='policy...'
            ;;
        'preflight')
            options='--for-uv --metrics --format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--for-uv --metrics --format --color'
            arguments='policy'
            ;;
        'plan')
            options='--out --list-rules --format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--out --format --color'
            arguments='policy'
            ;;
        'prune')
            options='--dry-run -n --plan --now --metrics --format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--plan --metrics --format --color'
            arguments='policy'
            ;;
        'simulate')
            options='--uv --ci --clean --force --format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--uv --clean --format --color'
            arguments='policy other...'
            ;;
        'evict')
            options='--even-in-use --dry-run -n --format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--format --color'
            arguments='other...'
            ;;
        'explain')
            options='--format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--format --color'
            arguments='policy other'
            ;;
        'scan')
            options='--deep --format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--format --color'
            arguments='policy'
            ;;
        'schemas')
            options='--format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--format --color'
            arguments='policy'
            ;;
        'usage')
            options='--by --format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--by --format --color'
            arguments='policy'
            ;;
        'report')
            options='--html --format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--html --format --color'
            arguments='policy...'
            ;;
        'audit')
            options='--fail-on --rule --list-rules --advisories --metrics --format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--fail-on --rule --advisories --metrics --format --color'
            arguments='policy...'
            ;;
        'dedupe')
            options='--dry-run -n --format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--format --color'
            arguments='policy'
            ;;
        'doctor')
            options='--fix-script --fail-on --format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--fix-script --fail-on --format --color'
            arguments='policy'
            ;;
        'verify')
            options='--sample --seed --fail-on --jobs --format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--sample --seed --fail-on --jobs --format --color'
            arguments='policy other...'
            ;;
        'protect')
            options='--remove --check --format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--format --color'
            arguments='policy'
            ;;
        'guard')
            options='--hold --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--color'
            arguments='policy'
            ;;
        'observe')
            options='--list --forget --format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--forget --format --color'
            arguments='policy'
            ;;
        'help')
            options='--quiet -q --verbose -v --wide --color --version -h --help'
            valued='--color'
            arguments='other...'
            ;;
        'runs')
            commands='list show restore purge'
            options='--quiet -q --verbose -v --wide --color --version -h --help'
            valued='--color'
            ;;
        'runs list')
            options='--format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--format --color'
            arguments='policy'
            ;;
        'runs show')
            options='--format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--format --color'
            arguments='policy run'
            ;;
        'runs restore')
            options='--insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--color'
            arguments='policy run'
            ;;
        'runs purge')
            options='--all --older-than --now --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--older-than --color'
            arguments='policy run'
            ;;
        'venv')
            commands='add remove list discover'
            options='--quiet -q --verbose -v --wide --color --version -h --help'
            valued='--color'
            ;;
        'venv add')
            options='--insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--color'
            arguments='policy file'
            ;;
        'venv remove')
            options='--insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--color'
            arguments='policy file'
            ;;
        'venv list')
            options='--format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--format --color'
            arguments='policy'
            ;;
        'venv discover')
            options='--register --format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--format --color'
            arguments='policy'
            ;;
        'pin')
            commands='add remove list'
            options='--quiet -q --verbose -v --wide --color --version -h --help'
            valued='--color'
            ;;
        'pin add')
            options='--reason --expires --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--reason --expires --color'
            arguments='policy other'
            ;;
        'pin remove')
            options='--insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--color'
            arguments='policy other'
            ;;
        'pin list')
            options='--format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--format --color'
            arguments='policy'
            ;;
        'policy')
            commands='init check notify schema show'
            options='--quiet -q --verbose -v --wide --color --version -h --help'
            valued='--color'
            ;;
        'policy init')
            options='--cache --name --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--cache --name --color'
            arguments='file'
            ;;
        'policy check')
            options='--format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--format --color'
            arguments='policy...'
            ;;
        'policy notify')
            options='--insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--color'
            arguments='policy'
            ;;
        'policy schema')
            options='--quiet -q --verbose -v --wide --color --version -h --help'
            valued='--color'
            ;;
        'policy show')
            options='--format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--format --color'
            arguments='policy'
            ;;
        'uv')
            commands='learn'
            options='--quiet -q --verbose -v --wide --color --version -h --help'
            valued='--color'
            ;;
        'uv learn')
            options='--policy --store --no-store --format --insecure-policy --quiet -q --verbose -v --wide --color --version -h --help'
            valued='--policy --format --color'
            arguments='file'
            ;;
    esac
}

# Prints what an option of a call takes.
_cacheadmin_values() {
    case "$1 $2" in
        ' --color') printf '%s\n' auto always never ;;
        'status --format') printf '%s\n' table json jsonl csv markdown ;;
        'status --color') printf '%s\n' auto always never ;;
        'preflight --format') printf '%s\n' table json jsonl csv markdown ;;
        'preflight --color') printf '%s\n' auto always never ;;
        'plan --format') printf '%s\n' table json jsonl csv markdown ;;
        'plan --color') printf '%s\n' auto always never ;;
        'prune --format') printf '%s\n' table json jsonl csv markdown ;;
        'prune --color') printf '%s\n' auto always never ;;
        'simulate --format') printf '%s\n' table json jsonl csv markdown ;;
        'simulate --color') printf '%s\n' auto always never ;;
        'evict --format') printf '%s\n' table json jsonl csv markdown ;;
        'evict --color') printf '%s\n' auto always never ;;
        'explain --format') printf '%s\n' table json jsonl csv markdown ;;
        'explain --color') printf '%s\n' auto always never ;;
        'scan --format') printf '%s\n' table json jsonl csv markdown ;;
        'scan --color') printf '%s\n' auto always never ;;
        'schemas --format') printf '%s\n' table json jsonl csv markdown ;;
        'schemas --color') printf '%s\n' auto always never ;;
        'usage --by') printf '%s\n' bucket package version owner team duplicates ;;
        'usage --format') printf '%s\n' table json jsonl csv markdown ;;
        'usage --color') printf '%s\n' auto always never ;;
        'report --format') printf '%s\n' table json jsonl csv markdown html ;;
        'report --color') printf '%s\n' auto always never ;;
        'audit --fail-on') printf '%s\n' error warning info never ;;
        'audit --rule') printf '%s\n' known-advisory unknown-bucket cache-root-mode not-group-writable not-readable group-differs default-acl-missing world-writable foreign-owner setuid-file links-out hardlinks-outside lock-file locks-unreliable read-only-cache access-times no-user-xattrs lock-held-long process-from-cache uv-without-lock uv-below-minimum unknown-release environment-broken environment-unreadable environment-missing environment-unregistered registry-coverage registry-entry-wrong name-taken link-mode pins-broken pins-expired cache-size quarantine-overdue policy-file stale-observation protection-missing suppression-expired suppression-unused not-audited ;;
        'audit --format') printf '%s\n' table json jsonl csv markdown sarif ;;
        'audit --color') printf '%s\n' auto always never ;;
        'dedupe --format') printf '%s\n' table json jsonl csv markdown ;;
        'dedupe --color') printf '%s\n' auto always never ;;
        'doctor --fail-on') printf '%s\n' error warning info never ;;
        'doctor --format') printf '%s\n' table json jsonl csv markdown sarif ;;
        'doctor --color') printf '%s\n' auto always never ;;
        'verify --fail-on') printf '%s\n' error warning info never ;;
        'verify --format') printf '%s\n' table json jsonl csv markdown sarif ;;
        'verify --color') printf '%s\n' auto always never ;;
        'protect --format') printf '%s\n' table json jsonl csv markdown ;;
        'protect --color') printf '%s\n' auto always never ;;
        'guard --color') printf '%s\n' auto always never ;;
        'observe --format') printf '%s\n' table json jsonl csv markdown ;;
        'observe --color') printf '%s\n' auto always never ;;
        'help --color') printf '%s\n' auto always never ;;
        'runs --color') printf '%s\n' auto always never ;;
        'runs list --format') printf '%s\n' table json jsonl csv markdown ;;
        'runs list --color') printf '%s\n' auto always never ;;
        'runs show --format') printf '%s\n' table json jsonl csv markdown ;;
        'runs show --color') printf '%s\n' auto always never ;;
        'runs restore --color') printf '%s\n' auto always never ;;
        'runs purge --color') printf '%s\n' auto always never ;;
        'venv --color') printf '%s\n' auto always never ;;
        'venv add --color') printf '%s\n' auto always never ;;
        'venv remove --color') printf '%s\n' auto always never ;;
        'venv list --format') printf '%s\n' table json jsonl csv markdown ;;
        'venv list --color') printf '%s\n' auto always never ;;
        'venv discover --format') printf '%s\n' table json jsonl csv markdown ;;
        'venv discover --color') printf '%s\n' auto always never ;;
        'pin --color') printf '%s\n' auto always never ;;
        'pin add --color') printf '%s\n' auto always never ;;
        'pin remove --color') printf '%s\n' auto always never ;;
        'pin list --format') printf '%s\n' table json jsonl csv markdown ;;
        'pin list --color') printf '%s\n' auto always never ;;
        'policy --color') printf '%s\n' auto always never ;;
        'policy init --color') printf '%s\n' auto always never ;;
        'policy check --format') printf '%s\n' table json jsonl csv markdown ;;
        'policy check --color') printf '%s\n' auto always never ;;
        'policy notify --color') printf '%s\n' auto always never ;;
        'policy schema --color') printf '%s\n' auto always never ;;
        'policy show --format') printf '%s\n' table json jsonl csv markdown ;;
        'policy show --color') printf '%s\n' auto always never ;;
        'uv --color') printf '%s\n' auto always never ;;
        'uv learn --policy') _cacheadmin_policies ;;
        'uv learn --format') printf '%s\n' table json jsonl csv markdown ;;
        'uv learn --color') printf '%s\n' auto always never ;;
        *) ;;
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
                [[ $arguments == 'policy run' ]] && mapfile -t -O "${#found[@]}" found \
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
