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

# Sets what follows a call: commands, options, options that take a value, kinds of arguments.
_cacheadmin_call() {
    commands='' options='' valued='' arguments=''
    case $1 in
        '')
            commands='preflight plan prune simulate explain scan schemas usage report audit doctor verify protect guard runs venv pin policy uv'
            options='--quiet -q --verbose -v --color --version --install-completion --show-completion -h --help'
            valued='--color'
            ;;
        'preflight')
            options='--for-uv --metrics --format --insecure-policy -h --help'
            valued='--for-uv --metrics --format'
            arguments='policy'
            ;;
        'plan')
            options='--out --format --insecure-policy -h --help'
            valued='--out --format'
            arguments='policy'
            ;;
        'prune')
            options='--dry-run -n --plan --metrics --format --insecure-policy -h --help'
            valued='--plan --metrics --format'
            arguments='policy'
            ;;
        'simulate')
            options='--uv --ci --format --insecure-policy -h --help'
            valued='--uv --format'
            arguments='policy'
            ;;
        'explain')
            options='--format --insecure-policy -h --help'
            valued='--format'
            arguments='policy other'
            ;;
        'scan')
            options='--deep --format --insecure-policy -h --help'
            valued='--format'
            arguments='policy'
            ;;
        'schemas')
            options='--format --insecure-policy -h --help'
            valued='--format'
            arguments='policy'
            ;;
        'usage')
            options='--by --format --insecure-policy -h --help'
            valued='--by --format'
            arguments='policy'
            ;;
        'report')
            options='--html --format --insecure-policy -h --help'
            valued='--html --format'
            arguments='policy...'
            ;;
        'audit')
            options='--fail-on --rule --list-rules --metrics --format --insecure-policy -h --help'
            valued='--fail-on --rule --metrics --format'
            arguments='policy...'
            ;;
        'doctor')
            options='--fix-script --fail-on --format --insecure-policy -h --help'
            valued='--fix-script --fail-on --format'
            arguments='policy'
            ;;
        'verify')
            options='--sample --seed --fail-on --jobs --format --insecure-policy -h --help'
            valued='--sample --seed --fail-on --jobs --format'
            arguments='policy other...'
            ;;
        'protect')
            options='--remove --check --format --insecure-policy -h --help'
            valued='--format'
            arguments='policy'
            ;;
        'guard')
            options='--hold --insecure-policy -h --help'
            arguments='policy'
            ;;
        'runs')
            commands='list show restore purge'
            options='-h --help'
            ;;
        'runs list')
            options='--format --insecure-policy -h --help'
            valued='--format'
            arguments='policy'
            ;;
        'runs show')
            options='--format --insecure-policy -h --help'
            valued='--format'
            arguments='policy other'
            ;;
        'runs restore')
            options='--insecure-policy -h --help'
            arguments='policy other'
            ;;
        'runs purge')
            options='--all --older-than --insecure-policy -h --help'
            valued='--older-than'
            arguments='policy other'
            ;;
        'venv')
            commands='add remove list discover'
            options='-h --help'
            ;;
        'venv add')
            options='--insecure-policy -h --help'
            arguments='policy file'
            ;;
        'venv remove')
            options='--insecure-policy -h --help'
            arguments='policy file'
            ;;
        'venv list')
            options='--format --insecure-policy -h --help'
            valued='--format'
            arguments='policy'
            ;;
        'venv discover')
            options='--register --insecure-policy -h --help'
            arguments='policy'
            ;;
        'pin')
            commands='add remove list'
            options='-h --help'
            ;;
        'pin add')
            options='--reason --expires --insecure-policy -h --help'
            valued='--reason --expires'
            arguments='policy other'
            ;;
        'pin remove')
            options='--insecure-policy -h --help'
            arguments='policy other'
            ;;
        'pin list')
            options='--format --insecure-policy -h --help'
            valued='--format'
            arguments='policy'
            ;;
        'policy')
            commands='init check schema show'
            options='-h --help'
            ;;
        'policy init')
            options='--cache --name -h --help'
            valued='--cache --name'
            arguments='file'
            ;;
        'policy check')
            options='--insecure-policy -h --help'
            arguments='policy...'
            ;;
        'policy schema')
            options='-h --help'
            ;;
        'policy show')
            options='--format --insecure-policy -h --help'
            valued='--format'
            arguments='policy'
            ;;
        'uv')
            commands='learn'
            options='-h --help'
            ;;
        'uv learn')
            options='--policy --store --no-store --format --insecure-policy -h --help'
            valued='--policy --format'
            arguments='file'
            ;;
    esac
}

# Prints what an option of a call takes.
_cacheadmin_values() {
    case "$1 $2" in
        ' --color') printf '%s\n' auto always never ;;
        'preflight --format') printf '%s\n' table json ;;
        'plan --format') printf '%s\n' table json ;;
        'prune --format') printf '%s\n' table json ;;
        'simulate --format') printf '%s\n' table json ;;
        'explain --format') printf '%s\n' table json ;;
        'scan --format') printf '%s\n' table json jsonl csv ;;
        'schemas --format') printf '%s\n' table json ;;
        'usage --by') printf '%s\n' bucket package version owner team ;;
        'usage --format') printf '%s\n' table json ;;
        'report --format') printf '%s\n' table json ;;
        'audit --fail-on') printf '%s\n' error warning info never ;;
        'audit --format') printf '%s\n' table json csv markdown sarif ;;
        'doctor --fail-on') printf '%s\n' error warning info never ;;
        'doctor --format') printf '%s\n' table json ;;
        'verify --fail-on') printf '%s\n' error warning info never ;;
        'verify --format') printf '%s\n' table json ;;
        'protect --format') printf '%s\n' table json ;;
        'runs list --format') printf '%s\n' table json ;;
        'runs show --format') printf '%s\n' table json ;;
        'venv list --format') printf '%s\n' table json jsonl csv ;;
        'pin list --format') printf '%s\n' table json jsonl csv ;;
        'policy show --format') printf '%s\n' table json ;;
        'uv learn --policy') _cacheadmin_policies ;;
        'uv learn --format') printf '%s\n' table json ;;
        *) ;;
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
