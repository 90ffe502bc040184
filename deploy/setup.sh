#!/bin/sh
# Makes .venv hold what a Makefile target needs. The Makefile calls it; so may you:
#
#   deploy/setup.sh run      what `edgeapp run` and the demo need
#   deploy/setup.sh test     and what the tests need
#   deploy/setup.sh check    and the linters and type checkers
#   deploy/setup.sh wheels   fill the folder WHEELHOUSE with all of it, for a machine without network
#   deploy/setup.sh bundle   fill the folder BUNDLE (or a .tar.gz) with what installs the service on devices
#
# PYTHON=/path/to/python3.12   use this interpreter, not the newest suitable one on PATH
# WHEELHOUSE=folder            install from this folder alone; no network is used
#
# A new environment is built in .venv.tmp and renamed once it is whole, so .venv is never half made.
set -eu
cd "$(dirname "$0")/.."
here=$(pwd)
stamp=.venv/edgeapp-setup

stop() {
    printf 'edgeapp: %s\n' "$*" >&2
    exit 1
}

# Prints "major.minor bits" of an interpreter, in words that every Python since 2.6 understands.
facts_of() {
    "$1" -c 'import struct, sys
print("%d.%d %d" % (sys.version_info[0], sys.version_info[1], 8 * struct.calcsize("P")))' 2>/dev/null
}

# Sets `python`, or says in one sentence why there is none.
choose_python() {
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3.13 python3.12 python3.11 python3
    fi
    unfit="Python is missing: sudo apt install python3 python3-venv"
    [ -z "${PYTHON:-}" ] || unfit="PYTHON=$PYTHON does not run: give the path of a Python 3.11 to 3.13"
    without_venv=
    for python in "$@"; do
        facts=$(facts_of "$python") || continue
        case $facts in
            *" 32") stop "this Python ($python) is a 32-bit one, for which onnxruntime and OpenCV" \
                "publish no packages: install a 64-bit system (Raspberry Pi OS 64-bit on a Pi 3 or newer)" ;;
            3.11\ * | 3.12\ * | 3.13\ *)
                if "$python" -c 'import ensurepip, venv' 2>/dev/null; then return; fi
                [ -n "$without_venv" ] || without_venv=$python ;;
            *) unfit="Python ${facts% *} ($python) does not fit, 3.11 to 3.13 do: use Debian 12 or 13, or name a suitable one: make demo PYTHON=/path/to/python3.12" ;;
        esac
    done
    [ -z "$without_venv" ] || stop "$without_venv lacks its venv module: sudo apt install python3-venv"
    stop "$unfit"
}

refuse_unsupported_machines() {
    case $(uname -m) in
        x86_64 | aarch64 | arm64) ;;
        arm*) stop "32-bit Arm is not supported, since onnxruntime and OpenCV publish no packages for it:" \
            "install a 64-bit system (Raspberry Pi OS 64-bit on a Pi 3 or newer)" ;;
        *) stop "this processor ($(uname -m)) is not supported: edgeapp runs on x86-64 and 64-bit Arm" ;;
    esac
}

# Runs pip of an environment and shows what it downloads. If it fails: one sentence with the remedy.
pip_in() {
    venv=$1
    shift
    log=$venv/setup.log
    rm -f "$log"*
    {
        "$venv/bin/python" -m pip --disable-pip-version-check --no-input --log "$log" \
            "$@" --progress-bar off 2>&1 || : >"$log.failed"
    } | sed -n 's/^ *Downloading \([^ ]*\/\)*/  /p'
    [ -e "$log.failed" ] || return 0
    if [ -n "${WHEELHOUSE:-}" ]; then
        remedy="fill it by 'make wheelhouse WHEELHOUSE=folder' on a machine with network, the same Python and processor"
        stop "WHEELHOUSE=$WHEELHOUSE lacks a package ($(last_error "$log")): $remedy"
    fi
    if grep -qE 'connection error: |connection broken by' "$log"; then
        stop "no package index can be reached: connect this machine, or name a mirror in PIP_INDEX_URL," \
            "or use packages fetched elsewhere: make demo WHEELHOUSE=folder"
    fi
    stop "pip could not install what is needed ($(last_error "$log")): all it said is in $log"
}

last_error() {
    sed -n 's/^[^ ]* ERROR: //p' "$1" | tail -n 1
}

# The requirements of a dependency group of pyproject.toml, for a pip that is too old to read them.
group() {
    "$1/bin/python" -c 'import sys, tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"][sys.argv[1]])' "$2"
}

# Installs a set into an environment.
fill() {
    venv=$1
    case $2 in
        run) groups= ;;
        test) groups="--group test" ;;
        check) groups="--group test --group check" ;;
    esac
    # From a wheelhouse and from an index alike, only wheels: nothing is compiled on the device.
    set -- --constraint constraints.txt --only-binary :all:
    [ -z "${WHEELHOUSE:-}" ] || set -- "$@" --no-index --find-links "$WHEELHOUSE"
    # shellcheck disable=SC2046,SC2086  # words on purpose
    pip_in "$venv" install "$@" $(group "$venv" build)
    # shellcheck disable=SC2086
    pip_in "$venv" install "$@" --no-build-isolation --editable ".[all]" $groups
}

# What the environment depends on; where it was made is part of it, since its scripts name that.
fingerprint() {
    printf '%s %s\n' "$(cat pyproject.toml constraints.txt deploy/setup.sh | cksum)" "$here"
}

# The set that .venv holds already, if it is whole, unmoved, up to date and of the wanted Python.
installed_set() {
    [ -f "$stamp" ] && [ "$(sed 1d "$stamp")" = "$(fingerprint)" ] && venv_fits && sed 1q "$stamp"
}

# Whether .venv can be used as it lies there.
venv_fits() {
    facts=$(facts_of .venv/bin/python) || return 1
    case $facts in 3.11\ 64 | 3.12\ 64 | 3.13\ 64) ;; *) return 1 ;; esac
    [ -z "${PYTHON:-}" ] || [ "$facts" = "$(facts_of "$PYTHON")" ]
}

# Whether .venv can be added to. Half of one cannot, nor one that was made elsewhere and moved here.
venv_is_extensible() {
    venv_fits && .venv/bin/python -c 'import pip, sys
sys.exit(sys.prefix == sys.base_prefix)' 2>/dev/null &&
        { [ ! -f "$stamp" ] || [ "$(sed 1d "$stamp" | cut -d ' ' -f 3-)" = "$here" ]; }
}

install_set() {
    case "$(installed_set):$1" in
        check:* | test:test | test:run | run:run) return ;;
    esac
    refuse_unsupported_machines
    if [ -n "${WHEELHOUSE:-}" ] && [ ! -d "$WHEELHOUSE" ]; then
        stop "there is no folder WHEELHOUSE=$WHEELHOUSE: fill one by 'make wheelhouse WHEELHOUSE=folder' on a machine with network"
    fi
    echo "Installing into .venv (up to 250 MB from the package index; a minute or two) ..."
    if venv_is_extensible; then
        rm -f "$stamp"
        fill .venv "$1"
    else
        choose_python
        rm -rf .venv.tmp
        "$python" -m venv --prompt edgeapp .venv.tmp >/dev/null 2>&1 ||
            stop "$python cannot make an environment: sudo apt install python3-venv; check free space with: df -h ."
        fill .venv.tmp "$1"
        # Scripts name the interpreter by its full path, which is about to change.
        grep -rlIF /.venv.tmp .venv.tmp/bin .venv.tmp/pyvenv.cfg | while IFS= read -r script; do
            sed -i 's|/\.venv\.tmp|/.venv|g' "$script"
        done
        rm -rf .venv
        mv .venv.tmp .venv
    fi
    { echo "$1"; fingerprint; } >"$stamp"
}

fill_wheelhouse() {
    [ -n "${WHEELHOUSE:-}" ] || stop "say where to put the packages: make wheelhouse WHEELHOUSE=folder"
    folder=$WHEELHOUSE
    WHEELHOUSE=
    install_set run
    mkdir -p "$folder"
    echo "Fetching packages into $folder ..."
    # The project itself is built too, since that is how pip learns what it needs; it is not kept.
    pip_in .venv wheel --wheel-dir "$folder" --constraint constraints.txt --no-build-isolation \
        ".[all]" --group build --group test --group check
    rm -f "$folder"/edgeapp-*.whl
    echo "Done. Elsewhere, with the same Python and processor: make demo WHEELHOUSE=$folder"
}

# What a device needs to run the service: wheels of edgeapp, of what it imports, and of pip.
fill_bundle() {
    [ -n "${BUNDLE:-}" ] || stop "say where to put the bundle: make bundle BUNDLE=folder"
    install_set run
    fresh=.venv/bundle
    rm -rf "$fresh"
    set -- --constraint constraints.txt --only-binary :all:
    [ -z "${WHEELHOUSE:-}" ] || set -- "$@" --no-index --find-links "$WHEELHOUSE"
    echo "Fetching packages ..."
    pip_in .venv wheel --wheel-dir "$fresh/wheels" --no-build-isolation "$@" ".[all]" pip
    facts=$(facts_of .venv/bin/python)
    folder=$BUNDLE
    case $BUNDLE in *.tar.gz) folder=$fresh/edgeapp ;; esac
    deploy/bundle.sh "$folder" "${facts% *}" "$fresh"/wheels/*.whl
    case $BUNDLE in *.tar.gz) tar -czf "$BUNDLE" --owner 0 --group 0 -C "$fresh" edgeapp ;; esac
    rm -rf "$fresh"
    sync -f "$BUNDLE" # a stick may be pulled out now
    echo "Done, $(du -sh "$BUNDLE" | cut -f 1). On devices with Python ${facts% *} and this processor: sudo sh ${folder##*/}/install.sh"
}

exec 9<deploy/setup.sh
flock 9 # two targets at once would build the same environment
case ${1:-} in
    run | test | check) install_set "$1" ;;
    wheels) fill_wheelhouse ;;
    bundle) fill_bundle ;;
    *) stop "say what to set up: deploy/setup.sh run|test|check|wheels|bundle" ;;
esac
