"""A shell script for one user, which repairs that user's environments. Pure.

The admin never runs users' programs, so the user does: each script refuses to
run as any other user. It goes on after a repair that failed, looks whether it
helped, and leaves with 1 when something is still broken.

Every name in it is its owner's to choose. So every word is quoted by
``posix_word`` and stands as an argument, never in the middle of a string, and
nothing in it, not even a name, moves the cursor of the terminal that shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cacheadmin.text.escapes import posix_word, printable
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.doctor.diagnosis import Diagnosis

# The check after a repair looks for lost links by itself. Absent files have
# to be named: these many of each package.
_PROBES = 20

_HEAD = """\
#!/bin/sh
# Written by `cacheadmin doctor`. Repairs broken environments of one user, and
# refuses to run as any other user. Read it; then run it as that user, or as root:
#     {become} < THIS_FILE
# UV names another uv than the one that is found first: UV=/path/to/uv sh THIS_FILE
#
# Names stand here letter by letter, so a $ in one means nothing:
# shellcheck disable=SC2016
set -u

user={uid}
if [ "$(id -u)" != "$user" ]; then
  printf '%s\\n' "this script repairs what belongs to uid $user: run it as that user" >&2
  exit 77
fi
uv=${{UV:-uv}}
if ! command -v "$uv" >/dev/null 2>&1; then
  printf '%s\\n' "there is no $uv here: set UV to the path of your uv" >&2
  exit 127
fi
UV_CACHE_DIR={cache}
export UV_CACHE_DIR
# Whatever is active in this shell must not be repaired in place of what is meant.
unset VIRTUAL_ENV CONDA_PREFIX UV_PROJECT_ENVIRONMENT UV_PROJECT UV_WORKING_DIRECTORY
unset UV_PYTHON UV_NO_CACHE UV_OFFLINE UV_SYSTEM_PYTHON UV_BREAK_SYSTEM_PACKAGES
unset UV_VENV_CLEAR UV_FROZEN UV_LOCKED UV_NO_SYNC UV_ISOLATED UV_BUILD_CONSTRAINT
unset UV_WORKING_DIR UV_NO_PROJECT UV_VENV_SEED UV_VENV_RELOCATABLE
# What changes versions, or what a project's environment holds: it is to be as it was.
unset UV_OVERRIDE UV_CONSTRAINT UV_EXCLUDE UV_REQUIRE_HASHES UV_NO_EDITABLE UV_NO_SOURCES
unset UV_DEV UV_NO_DEV UV_NO_GROUP UV_NO_DEFAULT_GROUPS UV_NO_INSTALL_PROJECT
unset UV_NO_INSTALL_WORKSPACE UV_NO_INSTALL_LOCAL UV_ONLY_INSTALL_PROJECT
unset UV_ONLY_INSTALL_WORKSPACE UV_ONLY_INSTALL_LOCAL
repaired=0
failed=0

# whose PATH: the uid a file belongs to, links not followed.
whose() {{ stat -c %u -- "$1" 2>/dev/null; }}

# undisturbed FOLDER: has no other user put settings for uv where it looks for them?
undisturbed() {{
  above=$1
  while :; do
    for file in "$above/uv.toml" "$above/pyproject.toml" "$above/.python-version"; do
      if [ -e "$file" ] || [ -L "$file" ]; then
        case $(whose "$file") in
          0 | "$user") ;;
          *) return 1 ;;
        esac
      fi
    done
    [ -n "$above" ] || return 0
    above=${{above%/*}}
  done
}}

# begin TITLE ENVIRONMENT FOLDER MODE: go where the repair is run.
begin() {{
  title=$1 environment=$2 UV_LINK_MODE=$4 well=yes
  export UV_LINK_MODE
  printf '%s\\n' "repairing $title"
  if [ "$(whose "$environment")" != "$user" ]; then
    well=; printf '%s\\n' "  left alone: it is gone, or belongs to another user now" >&2
  elif ! cd -- "$3"; then
    well=
  elif ! undisturbed "${{3%/}}"; then
    well=; printf '%s\\n' "  left alone: another user has put settings for uv above it" >&2
  fi
}}

# try COMMAND...: run one command of a repair, unless an earlier one failed.
try() {{
  [ -n "$well" ] || return 0
  "$@" </dev/null || well=
}}

# finish [FILE...]: is nothing lost any more, and is each FILE there?
finish() {{
  if [ -n "$well" ]; then
    left=$(find "$environment/" -xtype l -lname '*/archive-v[0-9]*/*' -print -quit)
    [ -z "$left" ] || well=
    for file; do
      [ -e "$file" ] || well=
    done
  fi
  if [ -n "$well" ]; then
    repaired=$((repaired + 1))
  else
    failed=$((failed + 1))
    printf '%s\\n' "  STILL BROKEN: $title" >&2
  fi
}}
"""

_TAIL = """
printf '%s\\n' "$repaired repaired, $failed still broken{left_out}"
[ "$failed" -eq 0 ]
"""


def script_for(
    uid: int,
    cache: str,
    diagnoses: Sequence[Diagnosis],
    become: str = "su - USER -s /bin/sh -c 'exec sh -s'",
) -> str:
    """Return the script of one user. ``cache`` is the cache's absolute path.

    ``become`` is how root runs it as that user (`doctor.becoming`).
    Only repairs that are safe for that user are in it (`doctor.trust`); what
    is left out is said in comments and at the end.
    """
    parts = [_HEAD.format(uid=int(uid), cache=posix_word(cache), become=printable(become))]
    left_out = 0
    for diagnosis in diagnoses:
        if diagnosis.examination.uid != uid:
            raise ValueError("an environment of another user")
        if diagnosis.unsafe or not diagnosis.repair.commands:
            left_out += 1
            why = diagnosis.unsafe or diagnosis.repair.note
            parts.append(f"\n# LEFT OUT {_title(diagnosis)}: {printable(why)}\n")
        else:
            parts.append(_one_repair(diagnosis))
    words = f", {left_out} left out: see the comments in the script" if left_out else ""
    parts.append(_TAIL.format(left_out=words))
    return "".join(parts)


def _one_repair(diagnosis: Diagnosis) -> str:
    found, repair = diagnosis.examination, diagnosis.repair
    links = sum(len(one.lost) for one in found.damaged)
    absent = [path for one in found.half_installed for path in one.absent[:_PROBES]]
    lines = [
        "",
        f"# {_title(diagnosis)}: {format_count(links, 'lost link')}, "
        f"{format_count(len(found.damaged), 'package')}",
    ]
    if repair.note:
        lines.append(f"# {printable(repair.note)}")
    start = (_title(diagnosis), found.path, repair.folder, found.mode.value)
    lines.append(_call("begin", *start))
    lines += [_command(words) for words in repair.commands]
    probes = [*absent, f"{found.path}/bin/python"] if found.interpreter_missing else absent
    lines.append(_call("finish", *probes))
    return "\n".join(lines) + "\n"


def _title(diagnosis: Diagnosis) -> str:
    return printable(diagnosis.examination.path)


def _command(words: Sequence[str]) -> str:
    if words[0] == "uv":
        return f'try "$uv" {" ".join(map(posix_word, words[1:]))}'
    return _call("try", *words)


def _call(*words: str) -> str:
    return " ".join(map(posix_word, words))
