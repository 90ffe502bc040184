#!/bin/sh
# Puts wheels and all else that an installation needs into a folder that is carried to the devices:
#
#   deploy/bundle.sh FOLDER 3.11 WHEEL...     the wheels for Python 3.11 and the processor of this machine
#
# Called again, on a machine with another Python or processor, it adds those wheels. A bundle of another
# build of edgeapp is replaced. `make bundle BUNDLE=FOLDER` fetches the wheels and calls this.
set -eu
umask 022
repo=$(cd "$(dirname "$0")/.." && pwd)
folder=$1
list=wheels-$2-$(uname -m).txt
shift 2
mkdir -p "$folder/wheels" "$folder/system"
rm -f "$folder/SHA256SUMS" # until it is whole again, this is no bundle

for wheel in "$@"; do
    case ${wheel##*/} in
        edgeapp-*) cmp -s "$wheel" "$folder/wheels/${wheel##*/}" || rm -f "$folder"/wheels/* "$folder"/wheels-*.txt ;;
    esac
done
for wheel in "$@"; do
    cp "$wheel" "$folder/wheels/"
    case ${wheel##*/} in pip-*) ;; *) echo "wheels/${wheel##*/}" ;; esac # pip installs, and is not installed
done | sort >"$folder/$list"

rm -rf "$folder"/system/*
cp "$repo/systemd/edgeapp.yaml" "$repo/systemd"/*.service "$repo/deploy/guard" "$folder/system/"
cp -R "$repo/systemd/drop-ins" "$folder/system/"
for file in "$repo/systemd"/*.rules; do [ ! -e "$file" ] || cp "$file" "$folder/system/"; done
cp "$repo/deploy/install.sh" "$folder/"
chmod 755 "$folder/install.sh" "$folder/system/guard"
cd "$folder"
find install.sh system wheels wheels-*.txt -type f | sort | xargs -d '\n' sha256sum >.SHA256SUMS
mv .SHA256SUMS SHA256SUMS
