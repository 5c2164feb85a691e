#!/bin/sh
# Assemble an ONNX Runtime SDK in the folder $2: the shared library of the wheel that the Python $1 has, and C headers.
#
# The headers come from Debian's libonnxruntime-dev, of a newer suite where this one lacks it. ONNX Runtime's C API is
# append-only and asked for by version, so headers that are older than the library are fine. Nothing is installed:
# the package is only unpacked. What was fetched stays, so that a second run needs no network.
set -eu
python=$1
sdk=$2
suites="trixie forky sid"

fail() {
    echo "onnxruntime_sdk: $1" >&2
    exit 2
}

library=$("$python" -c 'import pathlib, onnxruntime
print(next(pathlib.Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*")))') ||
    fail "the Python '$python' has no onnxruntime with a shared library. Install it: pip install onnxruntime"

mkdir -p "$sdk/lib"
ln -sfn "$library" "$sdk/lib/$(basename "$library")"
# The names by which linker and loader ask for it.
ln -sfn "$library" "$sdk/lib/libonnxruntime.so"
ln -sfn "$library" "$sdk/lib/libonnxruntime.so.1"

[ -f "$sdk/include/onnxruntime/onnxruntime_c_api.h" ] && exit 0

by_hand="Get ONNX Runtime's C headers (1.20 or newer) and give CMake -DONNXRUNTIME_ROOT=, or put onnxruntime_c_api.h into $sdk/include/onnxruntime."
command -v apt-get >/dev/null && command -v dpkg >/dev/null || fail "this system has no apt-get to fetch headers with. $by_hand"
archive=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
    awk '$3 == "main" && $1 ~ /debian\/?$/ { print $1; exit }')
[ -n "$archive" ] || fail "no Debian archive is among the system's package sources. $by_hand"

# A package index of our own: the system's sources and state stay as they are, and no root is needed.
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
: >"$state/status"
cat >"$state/apt.conf" <<CONF
Dir::State "$state";
Dir::State::lists "$state/lists";
Dir::State::status "$state/status";
Dir::Cache "$state/cache";
Dir::Etc::sourcelist "$state/sources.list";
Dir::Etc::sourceparts "-";
Acquire::Languages "none";
APT::Sandbox::User "";
APT::Default-Release "";
CONF
for suite in $suites; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $suite main" >"$state/sources.list"
    if (cd "$state" && APT_CONFIG=$state/apt.conf apt-get -qq update && APT_CONFIG=$state/apt.conf apt-get -qq download libonnxruntime-dev) >"$state/log" 2>&1; then
        dpkg -x "$state"/libonnxruntime-dev_*.deb "$state/unpacked"
        mkdir -p "$sdk/include"
        rm -rf "$sdk/include/onnxruntime"
        cp -R "$state/unpacked/usr/include/onnxruntime" "$sdk/include/"
        [ -f "$sdk/include/onnxruntime/onnxruntime_c_api.h" ] || fail "libonnxruntime-dev of $suite has no onnxruntime_c_api.h. $by_hand"
        exit 0
    fi
done
cat "$state/log" >&2
fail "libonnxruntime-dev cannot be fetched from $archive ($suites). $by_hand"
