# fish completion of cacheadmin. Made by `make completions`: do not edit.

function __cacheadmin_policies
    set -l home $HOME/.config
    set -q XDG_CONFIG_HOME; and set home $XDG_CONFIG_HOME
    for folder in $CACHEADMIN_POLICY_DIR $home/cacheadmin /etc/cacheadmin/policies.d
        string match -q '/*' -- $folder; or continue
        for file in $folder/*.yaml
            string match -rg '/([A-Za-z0-9][A-Za-z0-9._-]*)\.yaml$' -- $file
        end
    end
end

# The past runs of the policy that was typed; without one of the caller's own cache.
function __cacheadmin_run_ids
    set -l calls 'status' 'preflight' 'plan' 'prune' 'simulate' 'evict' 'explain' 'scan' 'schemas' 'usage' 'report' 'audit' 'dedupe' 'doctor' 'verify' 'protect' 'guard' 'observe' 'help' 'runs' 'runs list' 'runs show' 'runs restore' 'runs purge' 'venv' 'venv add' 'venv remove' 'venv list' 'venv discover' 'pin' 'pin add' 'pin remove' 'pin list' 'policy' 'policy init' 'policy check' 'policy notify' 'policy schema' 'policy show' 'uv' 'uv learn'
    set -l valued --color --format --for-uv --metrics --out --plan --uv --clean --by --html --fail-on --rule --advisories --fix-script --sample --seed --jobs --forget --older-than --reason --expires --cache --name --policy
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
            set found (string match -rg '(?:^|[ {])(cache|path): *["\']?(/[^"\'#,}]*)' -- $line)
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
    set -l calls 'status' 'preflight' 'plan' 'prune' 'simulate' 'evict' 'explain' 'scan' 'schemas' 'usage' 'report' 'audit' 'dedupe' 'doctor' 'verify' 'protect' 'guard' 'observe' 'help' 'runs' 'runs list' 'runs show' 'runs restore' 'runs purge' 'venv' 'venv add' 'venv remove' 'venv list' 'venv discover' 'pin' 'pin add' 'pin remove' 'pin list' 'policy' 'policy init' 'policy check' 'policy notify' 'policy schema' 'policy show' 'uv' 'uv learn'
    set -l valued --color --format --for-uv --metrics --out --plan --uv --clean --by --html --fail-on --rule --advisories --fix-script --sample --seed --jobs --forget --older-than --reason --expires --cache --name --policy
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
complete -c cacheadmin -n '__cacheadmin_at ""' -a status -d 'Show how caches are: verdict, size, free space, runs, gaps and findings'
complete -c cacheadmin -n '__cacheadmin_at ""' -a preflight -d 'Say whether it is safe to prune this cache now, and every check behind it'
complete -c cacheadmin -n '__cacheadmin_at ""' -a plan -d 'Show what prune would remove and keep, each with its reason; changes nothing'
complete -c cacheadmin -n '__cacheadmin_at ""' -a prune -d 'Remove what the plan allows: all of it, undoable, or nothing'
complete -c cacheadmin -n '__cacheadmin_at ""' -a simulate -d 'Show exactly what `uv cache prune` of a release would delete, and whom it breaks'
complete -c cacheadmin -n '__cacheadmin_at ""' -a evict -d 'Remove a package from the cache now, and say who still has it'
complete -c cacheadmin -n '__cacheadmin_at ""' -a explain -d 'Say why something is kept or removed, who uses it, and what would change that'
complete -c cacheadmin -n '__cacheadmin_at ""' -a scan -d 'List the environments, their owners, link modes, uv versions and broken links'
complete -c cacheadmin -n '__cacheadmin_at ""' -a schemas -d 'Show users, the uv releases they use, and which buckets they need'
complete -c cacheadmin -n '__cacheadmin_at ""' -a usage -d 'Show how much room the cache takes, and how much of it is exclusively its own'
complete -c cacheadmin -n '__cacheadmin_at ""' -a report -d 'Show a cache at a glance: verdict, sizes, who holds what, findings, past prunes'
complete -c cacheadmin -n '__cacheadmin_at ""' -a audit -d 'Check one or many caches against the audit rules; leaves with 8 when they fail'
complete -c cacheadmin -n '__cacheadmin_at ""' -a dedupe -d 'Let equal files of several archives share their blocks, on xfs and btrfs'
complete -c cacheadmin -n '__cacheadmin_at ""' -a doctor -d 'Find broken environments, and the exact command that repairs each'
complete -c cacheadmin -n '__cacheadmin_at ""' -a verify -d 'Compare archives with their own RECORD, and say who may have changed what is not so'
complete -c cacheadmin -n '__cacheadmin_at ""' -a protect -d 'Plant roots for the archives in use, so that any `uv cache prune` keeps them'
complete -c cacheadmin -n '__cacheadmin_at ""' -a guard -d 'Keep a cache protected: plant again at once what a user\'s prune has removed'
complete -c cacheadmin -n '__cacheadmin_at ""' -a observe -d 'Record what this host sees of the cache, for those that prune it elsewhere'
complete -c cacheadmin -n '__cacheadmin_at ""' -a help -d 'Explain a command, an audit rule, a key of the policy, or the exit codes'
complete -c cacheadmin -n '__cacheadmin_at ""' -a runs -d 'Past prunes: what each moved, undo, final deletion'
complete -c cacheadmin -n '__cacheadmin_at ""' -a venv -d 'The registry of environments'
complete -c cacheadmin -n '__cacheadmin_at ""' -a pin -d 'Entries never to be removed'
complete -c cacheadmin -n '__cacheadmin_at ""' -a policy -d 'Write, check and explain policies'
complete -c cacheadmin -n '__cacheadmin_at ""' -a uv -d 'What is known of uv releases'
complete -c cacheadmin -n '__cacheadmin_at ""' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at ""' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at ""' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at ""' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at ""' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at ""' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "status" 0+' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "status" 0+' -F
complete -c cacheadmin -n '__cacheadmin_at "status"' -l all -d 'Every policy that has a name'
complete -c cacheadmin -n '__cacheadmin_at "status"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "status"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "status"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "status"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "status"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "status"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "status"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "status"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "preflight" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "preflight" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "preflight"' -l for-uv -r -F -d 'Ask about `uv cache prune` of a release, or of a uv binary, instead'
complete -c cacheadmin -n '__cacheadmin_at "preflight"' -l metrics -r -F -d 'Also say how it went in this file, for node_exporter\'s textfile collector'
complete -c cacheadmin -n '__cacheadmin_at "preflight"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "preflight"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "preflight"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "preflight"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "preflight"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "preflight"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "preflight"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "preflight"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "plan" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "plan" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "plan"' -l out -r -F -d 'Save the plan for `prune --plan FILE`'
complete -c cacheadmin -n '__cacheadmin_at "plan"' -l list-rules -d 'Print what is kept and removed by rule, and leave'
complete -c cacheadmin -n '__cacheadmin_at "plan"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "plan"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "plan"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "plan"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "plan"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "plan"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "plan"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "plan"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "prune" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "prune" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "prune"' -l dry-run -s n -d 'Only show what would be removed (as `plan`)'
complete -c cacheadmin -n '__cacheadmin_at "prune"' -l plan -r -F -d 'Carry out a plan saved by `plan --out`'
complete -c cacheadmin -n '__cacheadmin_at "prune"' -l now -d 'Delete at once, once checked, what would go to quarantine'
complete -c cacheadmin -n '__cacheadmin_at "prune"' -l metrics -r -F -d 'Also say how it went in this file, for node_exporter\'s textfile collector'
complete -c cacheadmin -n '__cacheadmin_at "prune"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "prune"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "prune"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "prune"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "prune"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "prune"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "prune"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "prune"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "simulate" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "simulate" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "simulate"' -l uv -r -F -d 'Release, such as 0.8.5, or path of a uv binary'
complete -c cacheadmin -n '__cacheadmin_at "simulate"' -l ci -d 'As `uv cache prune --ci`'
complete -c cacheadmin -n '__cacheadmin_at "simulate"' -l clean -r -F -d 'As `uv cache clean PACKAGE...`, not as a prune; may be repeated'
complete -c cacheadmin -n '__cacheadmin_at "simulate"' -l force -d 'As with uv\'s own --force: it waits for no process'
complete -c cacheadmin -n '__cacheadmin_at "simulate"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "simulate"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "simulate"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "simulate"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "simulate"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "simulate"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "simulate"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "simulate"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "evict"' -l even-in-use -d 'Also remove what is used: environments break'
complete -c cacheadmin -n '__cacheadmin_at "evict"' -l dry-run -s n -d 'Only say what would be removed, and who has it'
complete -c cacheadmin -n '__cacheadmin_at "evict"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "evict"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "evict"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "evict"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "evict"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "evict"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "evict"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "evict"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "explain" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "explain" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "explain"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "explain"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "explain"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "explain"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "explain"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "explain"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "explain"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "explain"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "scan" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "scan" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "scan"' -l deep -d 'Look at every file, not at one a distribution'
complete -c cacheadmin -n '__cacheadmin_at "scan"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "scan"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "scan"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "scan"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "scan"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "scan"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "scan"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "scan"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "schemas" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "schemas" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "schemas"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "schemas"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "schemas"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "schemas"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "schemas"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "schemas"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "schemas"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "schemas"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "usage" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "usage" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "usage"' -l by -x -a 'bucket package version owner team duplicates' -d 'bucket, package, version, owner, team or duplicates'
complete -c cacheadmin -n '__cacheadmin_at "usage"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "usage"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "usage"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "usage"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "usage"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "usage"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "usage"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "usage"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "report" 0+' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "report" 0+' -F
complete -c cacheadmin -n '__cacheadmin_at "report"' -l html -r -F -d 'Write one self-contained page instead; - for stdout'
complete -c cacheadmin -n '__cacheadmin_at "report"' -l format -x -a 'table json jsonl csv markdown html' -d 'table, json, jsonl, csv, markdown or html'
complete -c cacheadmin -n '__cacheadmin_at "report"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "report"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "report"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "report"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "report"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "report"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "report"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "audit" 0+' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "audit" 0+' -F
complete -c cacheadmin -n '__cacheadmin_at "audit"' -l fail-on -x -a 'error warning info never' -d 'Leave with 8 on findings from: error, warning, info, never'
complete -c cacheadmin -n '__cacheadmin_at "audit"' -l rule -x -a 'known-advisory unknown-bucket cache-root-mode not-group-writable not-readable group-differs default-acl-missing world-writable foreign-owner setuid-file links-out hardlinks-outside lock-file locks-unreliable read-only-cache access-times no-user-xattrs lock-held-long process-from-cache uv-without-lock uv-below-minimum unknown-release environment-broken environment-unreadable environment-missing environment-unregistered registry-coverage registry-entry-wrong name-taken link-mode pins-broken pins-expired cache-size quarantine-overdue policy-file stale-observation protection-missing suppression-expired suppression-unused not-audited' -d 'Check only this rule; may be repeated'
complete -c cacheadmin -n '__cacheadmin_at "audit"' -l list-rules -d 'Print what is checked and why, and leave'
complete -c cacheadmin -n '__cacheadmin_at "audit"' -l advisories -r -F -d 'OSV or pip-audit JSON (or a folder or zip of OSV files) that packages are held against; may be repeated'
complete -c cacheadmin -n '__cacheadmin_at "audit"' -l metrics -r -F -d 'Also say how it went in this file, for node_exporter\'s textfile collector'
complete -c cacheadmin -n '__cacheadmin_at "audit"' -l format -x -a 'table json jsonl csv markdown sarif' -d 'table, json, jsonl, csv, markdown or sarif'
complete -c cacheadmin -n '__cacheadmin_at "audit"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "audit"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "audit"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "audit"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "audit"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "audit"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "audit"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "dedupe" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "dedupe" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "dedupe"' -l dry-run -s n -d 'Only say what sharing would free'
complete -c cacheadmin -n '__cacheadmin_at "dedupe"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "dedupe"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "dedupe"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "dedupe"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "dedupe"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "dedupe"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "dedupe"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "dedupe"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "doctor" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "doctor" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "doctor"' -l fix-script -r -F -d 'Write the repairs as one shell script a user; \'-\' prints the only one'
complete -c cacheadmin -n '__cacheadmin_at "doctor"' -l fail-on -x -a 'error warning info never' -d 'Leave with 8 on findings from: error, warning, info, never'
complete -c cacheadmin -n '__cacheadmin_at "doctor"' -l format -x -a 'table json jsonl csv markdown sarif' -d 'table, json, jsonl, csv, markdown or sarif'
complete -c cacheadmin -n '__cacheadmin_at "doctor"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "doctor"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "doctor"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "doctor"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "doctor"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "doctor"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "doctor"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "verify" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "verify" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "verify"' -l sample -r -F -d 'Check so much (10%), each day another'
complete -c cacheadmin -n '__cacheadmin_at "verify"' -l seed -r -F -d 'Which sample; the day\'s by default'
complete -c cacheadmin -n '__cacheadmin_at "verify"' -l fail-on -x -a 'error warning info never' -d 'Leave with 8 on findings from: error, warning, info, never'
complete -c cacheadmin -n '__cacheadmin_at "verify"' -l jobs -r -F -d 'Workers; one a core by default'
complete -c cacheadmin -n '__cacheadmin_at "verify"' -l format -x -a 'table json jsonl csv markdown sarif' -d 'table, json, jsonl, csv, markdown or sarif'
complete -c cacheadmin -n '__cacheadmin_at "verify"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "verify"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "verify"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "verify"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "verify"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "verify"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "verify"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "protect" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "protect" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "protect"' -l remove -d 'Take everything away that was planted'
complete -c cacheadmin -n '__cacheadmin_at "protect"' -l check -d 'Only say whether all is planted (0), or not (4)'
complete -c cacheadmin -n '__cacheadmin_at "protect"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "protect"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "protect"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "protect"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "protect"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "protect"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "protect"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "protect"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "guard" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "guard" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "guard"' -l hold -d 'Hold uv\'s lock too: prunes of uv 0.8.19 and later wait'
complete -c cacheadmin -n '__cacheadmin_at "guard"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "guard"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "guard"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "guard"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "guard"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "guard"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "guard"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "observe" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "observe" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "observe"' -l list -d 'Only say what each host told, and when'
complete -c cacheadmin -n '__cacheadmin_at "observe"' -l forget -r -F -d 'Drop what a host told that is gone for good'
complete -c cacheadmin -n '__cacheadmin_at "observe"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "observe"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "observe"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "observe"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "observe"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "observe"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "observe"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "observe"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "help"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "help"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "help"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "help"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "help"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "help"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "runs"' -a list -d 'List past prunes, the oldest first'
complete -c cacheadmin -n '__cacheadmin_at "runs"' -a show -d 'Show what one prune moved, and why'
complete -c cacheadmin -n '__cacheadmin_at "runs"' -a restore -d 'Undo a prune: put everything it moved back where it was'
complete -c cacheadmin -n '__cacheadmin_at "runs"' -a purge -d 'Delete for good what prunes moved; they can\'t be undone afterwards'
complete -c cacheadmin -n '__cacheadmin_at "runs"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "runs"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "runs"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "runs"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "runs"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "runs"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "runs list" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "runs list" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "runs list"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "runs list"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "runs list"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "runs list"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "runs list"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "runs list"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "runs list"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "runs list"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "runs show" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "runs show" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "runs show" 0' -a '(__cacheadmin_run_ids)' -d run
complete -c cacheadmin -n '__cacheadmin_at "runs show" 1' -a '(__cacheadmin_run_ids)' -d run
complete -c cacheadmin -n '__cacheadmin_at "runs show"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "runs show"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "runs show"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "runs show"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "runs show"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "runs show"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "runs show"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "runs show"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "runs restore" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "runs restore" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "runs restore" 0' -a '(__cacheadmin_run_ids)' -d run
complete -c cacheadmin -n '__cacheadmin_at "runs restore" 1' -a '(__cacheadmin_run_ids)' -d run
complete -c cacheadmin -n '__cacheadmin_at "runs restore"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "runs restore"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "runs restore"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "runs restore"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "runs restore"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "runs restore"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "runs restore"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "runs purge" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "runs purge" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "runs purge" 0' -a '(__cacheadmin_run_ids)' -d run
complete -c cacheadmin -n '__cacheadmin_at "runs purge" 1' -a '(__cacheadmin_run_ids)' -d run
complete -c cacheadmin -n '__cacheadmin_at "runs purge"' -l all -d 'Every run there is'
complete -c cacheadmin -n '__cacheadmin_at "runs purge"' -l older-than -r -F -d 'Runs older than this, such as 3d'
complete -c cacheadmin -n '__cacheadmin_at "runs purge"' -l now -d 'Also end the trial of what is on trial, but of what is known to be used'
complete -c cacheadmin -n '__cacheadmin_at "runs purge"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "runs purge"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "runs purge"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "runs purge"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "runs purge"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "runs purge"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "runs purge"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "venv"' -a add -d 'Register an environment, so that every scan finds it'
complete -c cacheadmin -n '__cacheadmin_at "venv"' -a remove -d 'Take an environment out of the registry, and forget what it last linked'
complete -c cacheadmin -n '__cacheadmin_at "venv"' -a list -d 'List registered and remembered environments, without scanning them'
complete -c cacheadmin -n '__cacheadmin_at "venv"' -a discover -d 'Search the policy\'s trees, patterns and the cache for environments'
complete -c cacheadmin -n '__cacheadmin_at "venv"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "venv"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "venv"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "venv"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "venv"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "venv"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "venv add" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "venv add" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "venv add" 1' -F
complete -c cacheadmin -n '__cacheadmin_at "venv add"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "venv add"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "venv add"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "venv add"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "venv add"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "venv add"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "venv add"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "venv remove" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "venv remove" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "venv remove" 1' -F
complete -c cacheadmin -n '__cacheadmin_at "venv remove"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "venv remove"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "venv remove"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "venv remove"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "venv remove"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "venv remove"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "venv remove"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "venv list" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "venv list" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "venv list"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "venv list"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "venv list"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "venv list"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "venv list"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "venv list"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "venv list"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "venv list"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "venv discover" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "venv discover" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "venv discover"' -l register -d 'Register everything that was found'
complete -c cacheadmin -n '__cacheadmin_at "venv discover"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "venv discover"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "venv discover"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "venv discover"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "venv discover"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "venv discover"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "venv discover"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "venv discover"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "pin"' -a add -d 'Keep an archive, a path, or a package whatever comes, until it is taken back'
complete -c cacheadmin -n '__cacheadmin_at "pin"' -a remove -d 'Take your pin on a target back; root takes back every user\'s'
complete -c cacheadmin -n '__cacheadmin_at "pin"' -a list -d 'List what is pinned, by whom, why, and until when'
complete -c cacheadmin -n '__cacheadmin_at "pin"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "pin"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "pin"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "pin"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "pin"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "pin"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "pin add" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "pin add" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "pin add"' -l reason -r -F -d 'Why, for those who come after'
complete -c cacheadmin -n '__cacheadmin_at "pin add"' -l expires -r -F -d 'When it ends: 30d, or 2027-01-31'
complete -c cacheadmin -n '__cacheadmin_at "pin add"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "pin add"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "pin add"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "pin add"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "pin add"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "pin add"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "pin add"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "pin remove" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "pin remove" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "pin remove"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "pin remove"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "pin remove"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "pin remove"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "pin remove"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "pin remove"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "pin remove"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "pin list" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "pin list" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "pin list"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "pin list"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "pin list"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "pin list"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "pin list"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "pin list"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "pin list"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "pin list"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "policy"' -a init -d 'Write a commented starter policy; an existing file is never overwritten'
complete -c cacheadmin -n '__cacheadmin_at "policy"' -a check -d 'Check policies: syntax, keys, values, and who could have written them'
complete -c cacheadmin -n '__cacheadmin_at "policy"' -a notify -d 'Send a message to every URL of `notify`, to see that it arrives'
complete -c cacheadmin -n '__cacheadmin_at "policy"' -a schema -d 'Print the JSON Schema of policies'
complete -c cacheadmin -n '__cacheadmin_at "policy"' -a show -d 'Show the effective policy, and where each value came from'
complete -c cacheadmin -n '__cacheadmin_at "policy"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "policy"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "policy"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "policy"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "policy"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "policy"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "policy init" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "policy init"' -l cache -r -F -d 'The cache\'s absolute path'
complete -c cacheadmin -n '__cacheadmin_at "policy init"' -l name -r -F -d 'The policy\'s name'
complete -c cacheadmin -n '__cacheadmin_at "policy init"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "policy init"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "policy init"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "policy init"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "policy init"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "policy init"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "policy check" 0+' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "policy check" 0+' -F
complete -c cacheadmin -n '__cacheadmin_at "policy check"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "policy check"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "policy check"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "policy check"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "policy check"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "policy check"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "policy check"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "policy check"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "policy notify" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "policy notify" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "policy notify"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "policy notify"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "policy notify"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "policy notify"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "policy notify"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "policy notify"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "policy notify"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "policy schema"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "policy schema"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "policy schema"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "policy schema"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "policy schema"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "policy schema"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "policy show" 0' -a '(__cacheadmin_policies)' -d policy
complete -c cacheadmin -n '__cacheadmin_at "policy show" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "policy show"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "policy show"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "policy show"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "policy show"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "policy show"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "policy show"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "policy show"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "policy show"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "uv"' -a learn -d 'Read a uv binary\'s version and bucket names from its bytes, and remember them'
complete -c cacheadmin -n '__cacheadmin_at "uv"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "uv"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "uv"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "uv"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "uv"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "uv"' -s h -l help -d 'Print help and leave'
complete -c cacheadmin -n '__cacheadmin_at "uv learn" 0' -F
complete -c cacheadmin -n '__cacheadmin_at "uv learn"' -l policy -x -a '(__cacheadmin_policies)' -d 'Store it in the state of this policy alone'
complete -c cacheadmin -n '__cacheadmin_at "uv learn"' -l store -l no-store -d 'Remember it, or only print it'
complete -c cacheadmin -n '__cacheadmin_at "uv learn"' -l format -x -a 'table json jsonl csv markdown' -d 'table, json, jsonl, csv or markdown'
complete -c cacheadmin -n '__cacheadmin_at "uv learn"' -l insecure-policy -d 'Accept a policy that others could have written'
complete -c cacheadmin -n '__cacheadmin_at "uv learn"' -l quiet -s q -d 'Print nothing when all is well (for cron)'
complete -c cacheadmin -n '__cacheadmin_at "uv learn"' -l verbose -s v -d 'Say more; a traceback on unexpected errors'
complete -c cacheadmin -n '__cacheadmin_at "uv learn"' -l wide -d 'Show tables whole, however narrow the terminal is'
complete -c cacheadmin -n '__cacheadmin_at "uv learn"' -l color -x -a 'auto always never' -d 'Colour: auto, always or never'
complete -c cacheadmin -n '__cacheadmin_at "uv learn"' -l version -d 'Print the version and leave'
complete -c cacheadmin -n '__cacheadmin_at "uv learn"' -s h -l help -d 'Print help and leave'
