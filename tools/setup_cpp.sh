#!/bin/sh
# Get what building the C++ loader takes: a compiler, CMake, libraries, and an ONNX Runtime SDK made with the Python $1.
set -eu
python=$1

# What is looked for, and the Debian package that has it.
needs="cmake=cmake make=make c++=g++ pkg-config=pkg-config nm=binutils
/usr/include/nlohmann/json.hpp=nlohmann-json3-dev
/usr/include/protozero/pbf_reader.hpp=libprotozero-dev
/usr/include/libdeflate.h=libdeflate-dev
/usr/include/doctest/doctest.h=doctest-dev
/usr/include/openssl/evp.h=libssl-dev"

missing=""
for need in $needs; do
    thing=${need%=*}
    case $thing in
    /*) [ -e "$thing" ] || missing="$missing ${need##*=}" ;;
    *) command -v "$thing" >/dev/null || missing="$missing ${need##*=}" ;;
    esac
done

if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "setup: the C++ loader needs packages that are missing. On Debian, as root: apt-get install$missing" >&2
        exit 2
    fi
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    # shellcheck disable=SC2086
    if ! { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $missing; } >"$log" 2>&1; then
        cat "$log" >&2
        echo "setup: could not install$missing. Install them by hand, then try again." >&2
        exit 2
    fi
fi

"$(dirname "$0")/onnxruntime_sdk.sh" "$python" build/onnxruntime-sdk
