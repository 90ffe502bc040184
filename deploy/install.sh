#!/bin/sh
# Installs edgeapp as a service from the bundle that this script lies in; no network is used.
#
#   sudo ./install.sh                install, upgrade, or put right what is installed
#   sudo ./install.sh --rollback     back to the version before
#   sudo ./install.sh --uninstall    remove it; configuration and data stay (--purge: they go, too)
#
#   --downgrade      allow a version older than the installed one
#   --health-s 120   how long a new version has to become healthy, else the one before returns
#   --root DIR       install below DIR instead of /, without touching users and services (for trying out)
#
# Exit code 0: done; 1: refused or failed, what ran before runs on; 2: wrong arguments; 3: the new
# version did not become healthy, and the one before is back.
#
# Each version is an environment of its own in /opt/edgeapp/versions; /opt/edgeapp/current is a link to
# one of them. A power cut at any instant leaves a link to a whole version: versions are whole before
# anything names them, and every file and link is renamed into its place. The next run tidies up.
set -eu
umask 022
LC_ALL=C
# The service sees no Python that is somebody's own, below /root or /home.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# Packages are imported to see that they can be: wheels of onnxruntime else tell a server of it.
ORT_DISABLE_TELEMETRY=1
export LC_ALL PATH ORT_DISABLE_TELEMETRY
unset CDPATH

say() {
    printf '%s\n' "$*"
}

stop() {
    printf 'edgeapp: %s\n' "$*" >&2
    exit 1
}

usage() {
    printf 'edgeapp: %s\n' "$*" >&2
    sed -n '4,10s/^# *//p' "$0" >&2
    exit 2
}

# --- arguments --------------------------------------------------------------------------------------

task=install purge= downgrade= health_s=120 root=
while [ $# -gt 0 ]; do
    case $1 in
        --rollback | --uninstall) task=${1#--} ;;
        --purge) purge=yes ;;
        --downgrade) downgrade=yes ;;
        --health-s | --root)
            [ $# -ge 2 ] || usage "$1 wants a value"
            case $1:$2 in
                --health-s:*[!0-9]* | --health-s:) usage "--health-s wants a number of seconds, not '$2'" ;;
                --health-s:*) health_s=$2 ;;
                --root:/*) root=${2%/} ;;
                --root:*) usage "--root wants a full path, not '$2'" ;;
            esac
            shift ;;
        *) usage "there is no '$1'" ;;
    esac
    shift
done
[ -z "$purge" ] || [ "$task" = uninstall ] || usage "--purge goes with --uninstall"
[ "$(id -u)" = 0 ] || stop "this needs root: sudo $0"

bundle=$(cd "$(dirname "$0")" && pwd)
user=edgeapp
opt=$root/opt/edgeapp
versions=$opt/versions
state=$opt/state
etc=$root/etc/edgeapp
data=$root/var/lib/edgeapp
units=$root/etc/systemd/system
unit=edgeapp.service
rules=$root/etc/udev/rules.d
command=$root/usr/local/bin/edgeapp
log=$root/var/log/edgeapp-install.log
started=$root/run/edgeapp-guard/start.env

# Whether systemd runs here and is to be told; users are made only in a whole system.
live=
if [ -z "$root" ] && [ -d /run/systemd/system ] && command -v systemctl >/dev/null; then live=yes; fi
is_whole_system() { [ -z "$root" ]; }

# --- small helpers ----------------------------------------------------------------------------------

# Puts standard input into a file, whole or not at all: put FILE MODE [GROUP]
put() {
    draft=${1%/*}/.${1##*/}.new
    cat >"$draft" || stop "$1 cannot be written: is its disk full?"
    chmod "$2" "$draft"
    [ -z "${3:-}" ] || ! is_whole_system || chgrp "$3" "$draft"
    sync "$draft"
    mv -fT "$draft" "$1"
    sync "${1%/*}"
}

# Puts a file into its place if it is not there with this content: put_file FROM TO MODE
put_file() {
    cmp -s "$1" "$2" && return
    put "$2" "$3" <"$1"
    changed=yes
}

# Makes a link point elsewhere, in one step: put_link TARGET LINK
put_link() {
    [ "$(readlink "$2")" != "$1" ] || return 0
    rm -f "${2%/*}/.${2##*/}.new"
    ln -s "$1" "${2%/*}/.${2##*/}.new"
    mv -fT "${2%/*}/.${2##*/}.new" "$2"
    sync "${2%/*}"
}

# Removes a name in a way that outlives a power cut.
drop() {
    if [ -e "$1" ] || [ -L "$1" ]; then
        rm -rf "$1"
        sync "${1%/*}"
    fi
}

# A version's name from a file of ours or from the link; empty if there is none of that name.
named_in() {
    if [ -L "$1" ]; then name=$(readlink "$1"); else name=$(head -n 1 "$1" 2>/dev/null) || name=; fi
    name=${name##*/}
    case $name in '' | .* | *[!0-9A-Za-z.+_-]*) return ;; esac
    [ ! -e "$versions/$name/whole" ] || printf '%s' "$name"
}

# Runs a command whose words go to the log.
logged() {
    printf '+ %s\n' "$*" >>"$log"
    "$@" >>"$log" 2>&1
}

last_words() {
    grep -v '^[[:space:]]*$' "$log" | tail -n "${1:-1}"
}

# --- what the machine is ----------------------------------------------------------------------------

# Sets python and wheels, the list of the wheels for it; or says in one sentence why there are none.
choose_python() {
    case $(uname -m) in
        x86_64 | aarch64) ;;
        arm64) ;;
        arm*) stop "32-bit Arm is not supported, since onnxruntime and OpenCV publish no packages for it:" \
            "install a 64-bit system (Raspberry Pi OS 64-bit on a Pi 3 or newer)" ;;
        *) stop "this processor ($(uname -m)) is not supported: edgeapp runs on x86-64 and 64-bit Arm" ;;
    esac
    found=
    for python in python3.13 python3.12 python3.11 python3; do
        facts=$("$python" -c 'import struct, sys
print("%d.%d-%d" % (sys.version_info[0], sys.version_info[1], 8 * struct.calcsize("P")))' 2>/dev/null) || continue
        case $facts in
            *-32) stop "this Python ($python) is a 32-bit one, for which onnxruntime and OpenCV publish no packages:" \
                "install a 64-bit system (Raspberry Pi OS 64-bit on a Pi 3 or newer)" ;;
        esac
        wheels=$bundle/wheels-${facts%-*}-$(uname -m).txt
        if [ -f "$wheels" ]; then
            "$python" -c 'import venv, zipfile, json, ssl' 2>/dev/null && return
            stop "$python lacks parts of its standard library: sudo apt install python3"
        fi
        found="$found${found:+, }${facts%-*}"
    done
    has=$(cd "$bundle" && for list in wheels-*-*.txt; do list=${list#wheels-}; printf ' %s' "${list%.txt}"; done)
    [ -n "$found" ] || stop "Python is missing: sudo apt install python3"
    stop "the bundle is for Python$has, but this machine has $found on $(uname -m):" \
        "run 'make bundle BUNDLE=folder' on a machine like this one, which adds to the same folder"
}

# A stick that was pulled out too early is found here, and not half-way through.
check_bundle() {
    [ -f "$bundle/SHA256SUMS" ] || stop "$bundle holds no packages: make a bundle with 'make bundle BUNDLE=folder'" \
        "and run the install.sh in it"
    (cd "$bundle" && sha256sum --check --quiet --strict SHA256SUMS) >>"$log" 2>&1 ||
        stop "the bundle is damaged ($(sed -n 's/: FAILED.*//p' "$log" | head -n 1)): copy it again"
}

check_space() {
    need_mb=$("$python" - "$bundle" "$wheels" <<'END'
import sys, zipfile
bundle, names = sys.argv[1], open(sys.argv[2]).read().split()
size = sum(i.file_size for n in names for i in zipfile.ZipFile(bundle + "/" + n).infolist())
print(int(size * 1.25) // 2**20 + 16)  # compiled modules come on top
END
    )
    free_mb=$(($(df -Pk "$versions" | awk 'NR == 2 { print $4 }') / 1024))
    [ "$free_mb" -ge "$need_mb" ] ||
        stop "the disk of $versions has $free_mb MB free, $need_mb MB are needed: free some space"
}

# --- the environment of one version -----------------------------------------------------------------

# Sets version and name, the folder it goes to: the version, or that and a part of its digest where
# another build of the same version is installed.
name_version() {
    version=$(sed -n 's|^wheels/edgeapp-\([^-]*\)-.*|\1|p' "$wheels")
    [ -n "$version" ] || stop "the bundle holds no wheel of edgeapp: make it again"
    digest=$(grep -F -f "$wheels" "$bundle/SHA256SUMS" | sha256sum | cut -c 1-16)
    name=$version
    if [ -e "$versions/$version/whole" ] && [ "$(cat "$versions/$version/whole")" != "$digest" ]; then
        name=$version-$(printf '%s' "$digest" | cut -c 1-8)
    fi
}

# Builds the environment in its place, where its scripts name it; it counts only once it is whole.
build_version() {
    place=$versions/$name
    [ ! -e "$place/whole" ] || return 0
    check_space
    say "Installing edgeapp $name ..."
    unfinished=$place
    logged "$python" -I -m venv --without-pip "$place" ||
        stop "$python cannot make an environment ($(last_words)): all it said is in $log"
    set -- "$bundle"/wheels/pip-*.whl
    # Nothing that this machine or the caller tells pip or Python may change what is installed.
    (cd "$bundle" && logged env -i PATH="$PATH" LC_ALL=C.UTF-8 HOME=/nonexistent PIP_CONFIG_FILE=/dev/null TMPDIR="$versions" \
        "$place/bin/python" -I "$1/pip" install --requirement "$wheels" --no-deps --no-index --no-cache-dir \
        --disable-pip-version-check --no-input --progress-bar off --root-user-action ignore) ||
        stop "pip could not install edgeapp ($(last_words)): all it said is in $log"
    mkdir "$place/system"
    cp -R "$bundle/system/." "$bundle/install.sh" "$place/system/"
    check_packages
    sync -f "$place"
    printf '%s\n' "$digest" | put "$place/whole" 644
    unfinished=
}

as_user() {
    if is_whole_system; then set -- setpriv --reuid "$user" --regid "$user" --init-groups "$@"; fi
    "$@"
}

# Whether edgeapp and all packages with machine code can be loaded by this machine.
check_packages() {
    says=$(as_user timeout 60 "$place/bin/edgeapp" --version 2>>"$log") ||
        stop "edgeapp $version does not start here ($(last_words)): all it said is in $log"
    [ "$says" = "$version" ] || stop "the wheel of edgeapp $version says that it is $says"
    logged as_user timeout 120 "$place/bin/python" -I - <<'END' || stop "edgeapp $version does not run here ($(last_words))"
import importlib.metadata, sys
for dist in importlib.metadata.distributions():
    if "Root-Is-Purelib: false" not in (dist.read_text("WHEEL") or ""):
        continue
    for file in dist.files or ():
        if len(file.parts) == 2 and file.name == "__init__.py" and file.parts[0].isidentifier():
            try:
                importlib.import_module(file.parts[0])
            except BaseException as error:
                sys.exit(f"{dist.name}: {type(error).__name__}: {error}")
END
}

has_pipelines() {
    for file in "$etc"/pipelines/*.yaml "$etc"/pipelines/*.yml; do
        if [ -e "$file" ] || [ -L "$file" ]; then return; fi
    done
    return 1
}

# What it thinks of the configuration; run as the user that will run it, who must be able to read it.
check_config() {
    look=check
    has_pipelines || look="config show" # nothing to run yet is no mistake here
    # shellcheck disable=SC2086  # words on purpose
    set -- env -i PATH="$PATH" LC_ALL=C.UTF-8 HOME="$data" \
        CONFIGURATION_DIRECTORY="$etc" STATE_DIRECTORY="$data" CREDENTIALS_DIRECTORY="$etc/secrets" \
        "$versions/$name/bin/edgeapp" $look
    printf '+ edgeapp %s\n' "$look" >>"$log"
    says=$(cd / && as_user timeout 300 "$@" 2>&1) && return
    printf '%s\n' "$says" | tee -a "$log" >&2
    stop "edgeapp $version refuses the configuration in $etc: mend it, or stay with what is installed"
}

# --- users, folders, configuration ------------------------------------------------------------------

make_user() {
    is_whole_system || return 0
    getent group "$user" >/dev/null || logged groupadd --system "$user" || stop "no group $user could be made ($(last_words))"
    if ! getent passwd "$user" >/dev/null; then
        logged useradd --system --gid "$user" --home-dir /var/lib/edgeapp --no-create-home \
            --shell /usr/sbin/nologin "$user" || stop "no user $user could be made ($(last_words))"
    fi
}

# Folders of ours, with mode and owners; those of an existing installation keep what they have.
make_folder() {
    [ ! -d "$1" ] || return 0
    mkdir -p "${1%/*}"
    mkdir -m "$2" "$1"
    ! is_whole_system || chown "$3" "$1"
}

# Two devices of one name would be one to the broker: the names that images come with are not taken.
device_name() {
    name_of_host=$(uname -n | cut -d . -f 1 | tr -c 'A-Za-z0-9_\n-' -)
    case $name_of_host in
        '' | localhost | raspberrypi | debian | ubuntu)
            printf 'edge-%s' "$(cat "$root/etc/machine-id" /proc/sys/kernel/random/uuid 2>/dev/null |
                head -n 1 | sha256sum | cut -c 1-6)" ;;
        *) printf '%s' "$name_of_host" ;;
    esac
}

make_configuration() {
    make_folder "$etc" 750 "root:$user"
    make_folder "$etc/conf.d" 750 "root:$user"
    make_folder "$etc/pipelines" 750 "root:$user"
    make_folder "$etc/secrets" 700 root:root
    make_folder "$data" 700 "$user:$user"
    if [ -e "$etc/edgeapp.yaml" ] || [ -L "$etc/edgeapp.yaml" ]; then return; fi
    # It starts as it is: without a broker, until somebody names one.
    sed -e "s/^device: [^ ]*/device: $(device_name)/" -e 's/^mqtt:/# mqtt:/' -e 's/^  host:/  # host:/' \
        "$bundle/system/edgeapp.yaml" | put "$etc/edgeapp.yaml" 640 "$user"
}

# --- what systemd and udev read ---------------------------------------------------------------------

# Puts the system files of a version into their places: put_system VERSION
put_system() {
    system=$versions/$1/system
    changed=
    mkdir -p "$units/$unit.d" "$rules" "$root/usr/local/bin"
    put_file "$system/guard" "$opt/guard" 755
    for file in "$system"/*.rules; do
        [ ! -e "$file" ] || put_file "$file" "$rules/${file##*/}" 644
    done
    put_drop_ins "$1"
    put_file "$system/$unit" "$units/$unit" 644
    if [ ! -e "$command" ] && [ ! -L "$command" ] || [ "$(readlink "$command")" = /opt/edgeapp/current/bin/edgeapp ]; then
        put_link /opt/edgeapp/current/bin/edgeapp "$command"
    else
        say "$command is not ours and is left as it is."
    fi
    [ -n "$changed" ] || return 0
    if [ -n "$live" ]; then
        logged systemctl daemon-reload || :
        if command -v udevadm >/dev/null; then
            logged udevadm control --reload || :
            logged udevadm trigger --action=change --subsystem-match=gpio --subsystem-match=iio --subsystem-match=powercap || :
        fi
    fi
}

# Drop-ins that a version generates from the configuration and from what this machine has.
put_drop_ins() {
    before_sum=$(cat "$units/$unit.d"/*.conf 2>/dev/null | cksum)
    printf '+ edgeapp service dropins\n' >>"$log"
    CONFIGURATION_DIRECTORY=$etc STATE_DIRECTORY=$data \
        "$versions/$1/bin/edgeapp" service dropins --out "$units/$unit.d" 2>&1 >>"$log" | tee -a "$log" >&2
    [ "$before_sum" = "$(cat "$units/$unit.d"/*.conf 2>/dev/null | cksum)" ] || changed=yes
}

# --- switching --------------------------------------------------------------------------------------

# Ends the trial of a version that became healthy while no installer waited for it: it is what is known
# to be good now.
settle_trial() {
    on_trial=$(named_in "$state/trial")
    if [ -z "$on_trial" ] || [ "$(named_in "$opt/current")" != "$on_trial" ]; then return 0; fi
    if [ "$(tail -n 1 "$state/trial")" = "$(healthy_id)" ]; then drop "$state/trial"; fi # its latest start
}

# Starts a version instead of the one that runs, and goes back if it does not become healthy.
switch_to() {
    new=$1
    old=$(named_in "$opt/current")
    # While the current one is itself on trial, the one before it is what is known to be good.
    if [ -n "$old" ] && [ "$old" != "$new" ] && [ "$(named_in "$state/trial")" != "$old" ]; then
        printf '%s\n' "$old" | put "$state/previous" 644
    fi
    before=$(named_in "$state/previous")
    [ "$before" != "$new" ] || before=
    if [ -n "$before" ]; then printf '%s\n' "$new" "$health_s" | put "$state/trial" 644; else drop "$state/trial"; fi
    put_system "$new"
    put_link "versions/$new" "$opt/current"
    if [ ! -e "$state/installed" ]; then enable; fi
    if [ -z "$live" ]; then
        say "edgeapp $new is installed. systemd does not run here: it starts at the next boot."
        return
    fi
    if ! systemctl is-enabled --quiet "$unit"; then
        say "edgeapp $new is installed. The service is disabled and stays so: sudo systemctl enable --now edgeapp"
        return
    fi
    id_before=$(start_id)
    logged systemctl reset-failed "$unit" || :
    logged systemctl restart --no-block "$unit" || :
    if [ "$health_s" = 0 ]; then
        say "edgeapp $new is installed and starts; nobody waits for it to become healthy."
        return
    fi
    say "Waiting until it is well, up to $health_s s ..."
    if becomes_healthy; then
        drop "$state/trial"
        say "edgeapp $new runs and is well."
        return
    fi
    if ! has_pipelines && systemctl is-failed --quiet "$unit"; then
        drop "$state/trial"
        logged systemctl reset-failed "$unit" || :
        say "edgeapp $new is installed. There is no pipeline in $etc/pipelines yet: put yours there, then call this again."
        return
    fi
    {
        echo "+ journalctl --unit $unit"
        journalctl --quiet --no-pager --unit "$unit" --lines 100 2>&1 || :
    } >>"$log"
    if [ -z "$before" ]; then
        stop "edgeapp $new is installed and stays so, but $unwell: sudo edgeapp status; journalctl -u edgeapp"
    fi
    go_back "$before"
    printf 'edgeapp: %s\n' "version $new $unwell: $before runs again. What it said is in $log" >&2
    exit 3
}

go_back() {
    if [ "$(named_in "$opt/current")" != "$1" ]; then logged systemctl stop "$unit" || :; fi
    put_link "versions/$1" "$opt/current"
    drop "$state/trial"
    (put_system "$1") || : # it starts with those of the other version, too
    logged systemctl reset-failed "$unit" || :
    logged systemctl restart "$unit" || :
}

start_id() {
    sed -n 's/^EDGEAPP_START_ID=//p' "$started" 2>/dev/null || :
}

# The file is the application's: never more than a line of it, and never through a link.
healthy_id() {
    dd if="$data/healthy" iflag=nofollow,nonblock bs=128 count=1 2>/dev/null | head -n 1
}

# Whether the version switched to becomes healthy in time; if not, unwell says what it did instead.
becomes_healthy() {
    waited=0 # fifths of a second
    while :; do
        if [ "$(named_in "$opt/current")" != "$new" ]; then
            unwell="did not become well in several starts"
            return 1
        fi
        id=$(start_id)
        mode=$(sed -n 's/^EDGEAPP_START_MODE=//p' "$started" 2>/dev/null) || mode=
        healthy=$(healthy_id) || :
        if [ -n "$id" ] && [ "$id" != "$id_before" ]; then
            if [ "$id" = "$healthy" ] && systemctl is-active --quiet "$unit"; then
                [ "$mode" != normal ] || return 0
                unwell="runs in mode $mode only"
                return 1
            fi
            if systemctl is-failed --quiet "$unit"; then
                unwell="does not start ($(systemctl show --property Result --value "$unit"))"
                return 1
            fi
        fi
        if [ "$waited" -ge $((5 * health_s)) ]; then
            unwell="did not become well within $health_s s"
            return 1
        fi
        sleep 0.2
        waited=$((waited + 1))
    done
}

# The last step of a first installation: nothing is enabled before it can start.
enable() {
    if [ -n "$live" ]; then
        logged systemctl enable "$unit" || stop "the service could not be enabled ($(last_words))"
    else
        mkdir -p "$units/multi-user.target.wants"
        put_link "/etc/systemd/system/$unit" "$units/multi-user.target.wants/$unit"
    fi
    : | put "$state/installed" 644
}

# --- tidying up -------------------------------------------------------------------------------------

# Removes what earlier attempts left behind: environments that are not whole, drafts of files.
tidy() {
    rm -rf "$opt"/.*.new "$opt/.current.guard" "$state"/.*.new
    rm -f "$units/.$unit.new" "$units/$unit.d"/*.conf.tmp "$rules"/.*edgeapp*.new "${command%/*}/.edgeapp.new" "$etc"/.*.new
    for place in "$versions"/* "$versions"/.[!.]*; do
        if [ -d "$place" ] && [ ! -e "$place/whole" ]; then rm -rf "$place"; fi
    done
}

# Keeps the current version, the one before it, and the one that is being installed.
prune() {
    keep=" $(named_in "$opt/current") $(named_in "$state/previous") $name "
    for place in "$versions"/*; do
        case $keep in *" ${place##*/} "*) continue ;; esac
        drop "$place/whole" # first, so that half of it is never taken for a version
        rm -rf "$place"
    done
}

at_end() {
    status=$?
    [ -z "$unfinished" ] || rm -rf "$unfinished"
    exit "$status"
}

uninstall() {
    if [ -n "$live" ]; then
        logged systemctl disable --now "$unit" || :
        logged systemctl reset-failed "$unit" || :
    fi
    rm -f "$units/multi-user.target.wants/$unit" "$units/$unit"
    if [ -n "$purge" ]; then
        rm -rf "$units/$unit.d"
    else
        for file in "$units/$unit.d"/*.conf; do
            ! head -n 1 "$file" 2>/dev/null | grep -q '`edgeapp service dropins`' || rm -f "$file"
        done
    fi
    rmdir "$units/$unit.d" 2>/dev/null || :
    for file in "$opt"/current/system/*.rules "$bundle"/system/*.rules; do rm -f "$rules/${file##*/}"; done
    [ -z "$live" ] || logged systemctl daemon-reload || :
    case $(readlink "$command") in /opt/edgeapp/*) rm -f "$command" ;; esac
    rm -rf "$opt" "$root/run/edgeapp-guard"
    if [ -z "$purge" ]; then
        say "edgeapp is removed. $etc and $data are left, and the user $user: --uninstall --purge removes them, too."
        return
    fi
    rm -rf "$etc" "$data" "$log"
    if is_whole_system; then
        case $(getent passwd "$user") in # only as we make it
            *:/var/lib/edgeapp:/usr/sbin/nologin) userdel "$user" ;;
        esac
        if getent group "$user" >/dev/null; then groupdel "$user" 2>/dev/null || :; fi
    fi
    say "edgeapp is removed, with its configuration and data."
}

refuse_downgrade() {
    current=$(named_in "$opt/current")
    if [ -z "$current" ] || [ -n "$downgrade" ]; then return; fi
    set -- "$bundle"/wheels/pip-*.whl
    order=$("$python" -I - "$1" "$version" "${current%-*}" <<'END'
import sys
sys.path.insert(0, sys.argv[1])
from pip._vendor.packaging.version import Version
print("older" if Version(sys.argv[2]) < Version(sys.argv[3]) else "not older")
END
    )
    [ "$order" != older ] || stop "edgeapp $version is older than $current, which is installed: --downgrade if you want that," \
        "or --rollback for the version before"
}

# --- all of it --------------------------------------------------------------------------------------

unfinished=
trap at_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mkdir -p "${log%/*}" "$opt" 2>/dev/null && touch "$opt/.lock" 2>/dev/null ||
    stop "$opt cannot be written: is its disk full, or mounted read-only?"
# Whatever an earlier, killed attempt started holds the lock as long as it lives.
exec 9<"$opt/.lock"
flock -w 30 9 || stop "another installation is going on"
cp /dev/null "$log" 2>/dev/null && chmod 640 "$log" || log=/dev/null

case $task in
    uninstall)
        uninstall
        exit ;;
    rollback)
        mkdir -p "$versions" "$state"
        settle_trial
        name=$(named_in "$state/previous")
        [ -n "$name" ] && [ "$name" != "$(named_in "$opt/current")" ] || stop "there is no version before this one"
        version=${name%-*}
        check_config
        switch_to "$name"
        exit ;;
esac
check_bundle
choose_python
mkdir -p "$versions" "$state"
tidy
settle_trial
name_version
refuse_downgrade
prune
installed=$(named_in "$opt/current")
make_user
make_configuration
build_version
check_config
if [ "$installed" = "$name" ] && [ -e "$state/installed" ] && [ ! -e "$state/trial" ]; then
    put_system "$name"
    say "edgeapp $name is installed already."
    if [ -n "$live" ] && systemctl is-enabled --quiet "$unit"; then
        if ! systemctl is-active --quiet "$unit"; then
            if has_pipelines; then
                say "It did not run, and is started now: sudo edgeapp status"
                logged systemctl restart --no-block "$unit" || :
            else
                say "There is no pipeline in $etc/pipelines yet: put yours there, then call this again."
            fi
        elif [ -n "$changed" ]; then
            say "What systemd knows of it has changed: it is restarted."
            logged systemctl restart --no-block "$unit" || :
        fi
    fi
else
    switch_to "$name"
fi
prune
