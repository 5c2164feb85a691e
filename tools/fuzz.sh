#!/bin/sh
# Fuzz each parser of the C++ loader for $1 seconds of processor time under ASan and UBSan, seeded from the packages of its tests.
set -eu
seconds=${1:-60}
python=$2
command -v clang++ >/dev/null || {
    echo "fuzz: clang++ is missing. On Debian: apt-get install clang" >&2
    exit 2
}
(cd cpp_loader && cmake --preset fuzz >/dev/null && cmake --build --preset fuzz --parallel 2)
"$python" cpp_loader/fuzz/make_seeds.py build/fuzz/seeds build/cpp/tests/packages/*.tload
for part in archive manifest interface model vector; do
    mkdir -p "build/fuzz/found/$part"
    echo "== $part"
    "$python" tests/fuzz/spend.py "cpp $part" "$seconds" "build/cpp-fuzz/fuzz/fuzz_$part" -rss_limit_mb=3000 \
        -print_final_stats=1 -verbosity=0 -artifact_prefix="build/fuzz/$part-" "build/fuzz/found/$part" "build/fuzz/seeds/$part"
done
