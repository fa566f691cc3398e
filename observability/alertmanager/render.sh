#!/bin/sh
# Puts a site's values into alertmanager.yml and its templates, for Alertmanager, which doesn't read them from the environment:
#
#   render.sh DIR               into DIR
#   render.sh DIR COMMAND...    and then runs COMMAND in its place, as a container's entrypoint does
#
# ${NAME} becomes the variable NAME, or the first line of the file that NAME_FILE names. One that is missing is an error. Secrets
# aren't put in: Alertmanager reads them from ${ALERT_SECRETS} when it needs them. POSIX sh and awk, which Alertmanager's image has.
set -eu
umask 077
from=$(cd "$(dirname "$0")" && pwd)
to=$1
shift

render() { # file
    awk -v file="$1" '
        function fail(message) { print "render.sh: " file ": " message >"/dev/stderr"; failed = 1; exit 1 }
        function value(name,   path, text) {
            path = ENVIRON[name "_FILE"]
            if (path != "") {
                if ((getline text <path) < 1) fail(name "_FILE: " path " can'\''t be read, or is empty")
                close(path)
            } else if (name in ENVIRON) {
                text = ENVIRON[name]
            } else {
                fail("neither " name " nor " name "_FILE is set")
            }
            # It stands between quotes, in YAML or in a template.
            if (text ~ /[\047"\\{}]|[[:cntrl:]]/) fail(name ": no quotes, backslashes, braces or line breaks")
            return text
        }
        {
            rest = $0
            while (match(rest, /\$\{[A-Z_]+\}/)) {
                printf "%s%s", substr(rest, 1, RSTART - 1), value(substr(rest, RSTART + 2, RLENGTH - 3))
                rest = substr(rest, RSTART + RLENGTH)
            }
            print rest
        }
    ' "$from/$1" >"$to/$1.new"
    mv "$to/$1.new" "$to/$1"
}

mkdir -p "$to/templates"
render templates/flowviz.tmpl
render alertmanager.yml
[ $# -eq 0 ] || exec "$@"
