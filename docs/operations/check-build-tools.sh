#!/bin/sh
# Is what pyxattr is built from there? Usage: check-build-tools.sh [PYTHON]
# It is C, and has no wheel for Linux on the package index: pip compiles it.
# Prints the one line that installs what is missing, and leaves with 1.
set -u
python=${1:-python3}
missing=''
cc=${CC:-cc}
if ! command -v "$cc" >/dev/null 2>&1; then
  missing='a C compiler'
else
  include=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])') || exit 1
  has() { printf '#include <%s>\n' "$1" | "$cc" "-I$include" -E -o /dev/null - 2>/dev/null; }
  has Python.h || missing="the headers of $python"
  has sys/xattr.h || missing="${missing:+$missing and }the C library's headers"
fi
[ -z "$missing" ] && exit 0
if command -v apt-get >/dev/null 2>&1; then
  line='apt-get install gcc libc6-dev python3-dev'
elif command -v dnf >/dev/null 2>&1; then
  line='dnf install gcc glibc-devel python3-devel'
elif command -v zypper >/dev/null 2>&1; then
  line='zypper install gcc glibc-devel python3-devel'
elif command -v apk >/dev/null 2>&1; then
  line='apk add gcc musl-dev linux-headers python3-dev'
else
  line='install a C compiler, the headers of the C library, and those of Python'
fi
printf '%s\n' "to build pyxattr, $missing is missing:" "  $line" >&2
exit 1
