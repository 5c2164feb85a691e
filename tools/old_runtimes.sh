#!/bin/sh
# Run the C++ loader's tests, as they were built, with older releases of ONNX Runtime, fetched with the Python $1.
#
# Those of the oldest supported one and later must pass, but for element types that a release has no kernels for; with
# the one before, the loader must say so and not crash.
set -eu
python=$1
folder=build/old-runtimes
too_old=1.19.2
supported="1.20.1 1.21.1 1.22.1"

# Prints the folder of a release's library.
fetch() {
    if [ ! -e "$folder/$1/libonnxruntime.so.1" ]; then
        "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --python-version 3.11 \
            --dest "$folder" "onnxruntime==$1"
        "$python" - "$folder" "$1" <<'PYTHON'
import pathlib, sys, zipfile

folder, release = pathlib.Path(sys.argv[1]), sys.argv[2]
(wheel,) = folder.glob(f"onnxruntime-{release}-*.whl")
with zipfile.ZipFile(wheel) as file:
    library = file.read(f"onnxruntime/capi/libonnxruntime.so.{release}")
(folder / release).mkdir(exist_ok=True)
(folder / release / "libonnxruntime.so.1").write_bytes(library)
PYTHON
    fi
    echo "$folder/$1"
}

mkdir -p "$folder"
for release in $supported; do
    echo "== $release"
    library=$(fetch "$release")
    TRANSLOAD_TEST_PACKAGES=build/cpp/tests/packages LD_LIBRARY_PATH=$library build/cpp/tests/test_api --no-intro \
        --test-case-exclude="tensors of every element type*"
    unsupported=""
    for package in build/cpp/tests/packages/same_*.tload; do
        LD_LIBRARY_PATH=$library build/cpp/tool/transload-run verify "$package" >"$folder/log" 2>&1 && continue
        # 3: there is no kernel for an operator on this element type.
        [ $? = 3 ] || { cat "$folder/log"; exit 1; }
        unsupported="$unsupported $(basename "$package" .tload)"
    done
    echo "without kernels:${unsupported:- none}"
done

echo "== $too_old"
status=0
LD_LIBRARY_PATH=$(fetch "$too_old") build/cpp/tool/transload-run verify build/cpp/tests/packages/linear.tload >"$folder/log" 2>&1 || status=$?
cat "$folder/log"
[ "$status" = 5 ] && grep -q "ONNX Runtime $too_old cannot be used" "$folder/log"
