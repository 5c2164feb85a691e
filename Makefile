# Every target sets up what it needs; a second run starts at once.
VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.installed
TYPING := build/typing/transload

LOADER := build/cpp

.PHONY: setup demo test lint types loader loader-test fuzz-loader fuzz-convert sanitize old-runtimes tidy unit broken fuzz bench mutation culprits comparators audit conformance conformance-keras conformance-tensorflow clean locked

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt tools/setup.sh
	tools/setup.sh $(VENV)
	touch $@

demo: setup
	$(PYTHON) samples/demo.py

test: lint types loader-test unit

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

# mypy and editors see one package `transload`, as it is when installed.
types: setup
	mkdir -p $(TYPING)
	ln -sfn $(CURDIR)/src/transload/* $(TYPING)/
	ln -sfn $(CURDIR)/convert $(CURDIR)/serialize $(CURDIR)/runtime $(TYPING)/
	MYPYPATH=build/typing $(VENV)/bin/mypy -p transload

# The C++ loader; packages that are missing are installed where this runs as root, and named where it does not.
loader: setup
	tools/setup_cpp.sh $(PYTHON)
	cmake -S cpp_loader -B $(LOADER) -DCMAKE_BUILD_TYPE=Release > $(LOADER).log || { cat $(LOADER).log; exit 1; }
	cmake --build $(LOADER) --parallel 2 > $(LOADER).log || { cat $(LOADER).log; exit 1; }

loader-test: loader
	ctest --test-dir $(LOADER) --output-on-failure

# Each parser of the C++ loader for FUZZ_SECONDS under ASan and UBSan.
fuzz-loader: loader-test
	tools/fuzz.sh $(FUZZ_SECONDS) $(PYTHON)

# The C++ tests under ASan with UBSan, and under TSan.
sanitize: loader
	for preset in asan tsan; do (cd cpp_loader && cmake --preset $$preset && cmake --build --preset $$preset --parallel 2 && ctest --preset $$preset) || exit 1; done

# The C++ tests with older releases of ONNX Runtime, which are fetched.
old-runtimes: loader-test
	tools/old_runtimes.sh $(PYTHON)

# Minutes: clang-tidy over the library and its tool.
tidy: loader
	command -v clang-tidy >/dev/null || { echo "tidy: clang-tidy is missing. On Debian: apt-get install clang-tidy" >&2; exit 2; }
	cmake -S cpp_loader -B $(LOADER) -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >/dev/null
	ls cpp_loader/src/*.cpp cpp_loader/tool/*.cpp | grep -v sha256_openssl | \
		xargs -n 1 -P 2 clang-tidy -p $(LOADER) --quiet --extra-arg=-std=c++17

unit: loader
	$(PYTHON) -m pytest -n 2 --dist loadfile

# Every truncation and every flipped bit of a small package, some of a large one, and a file for each rule and limit.
broken: setup loader
	PYTHONPATH=tests/serialize:tests/cpp_loader $(PYTHON) tests/serialize/broken_files.py

# Conversions of spoiled sources in the sandboxed worker, for FUZZ_SECONDS of each kind.
fuzz-convert: setup
	for kind in graph_def torchscript; do $(PYTHON) tests/fuzz/fuzz_convert.py $$kind $(FUZZ_SECONDS) || exit 1; done

# Sixty seconds of fuzzing in all: 4 for each of 5 targets of the C++ loader, 8 of Python and 2 of conversions.
# FUZZ_SECONDS=3600 fuzzes each target for an hour.
FUZZ_SECONDS := 4
FUZZ_TARGETS := package members model onnx_file interface manifest vector source
fuzz: setup fuzz-loader fuzz-convert
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt 'atheris>=3'
	for target in $(FUZZ_TARGETS); do \
		$(PYTHON) tests/fuzz/spend.py "python $$target" $(FUZZ_SECONDS) $(PYTHON) tests/fuzz/fuzz.py $$target || exit 1; done

# Known vulnerabilities of what is pinned, where the data can be reached; it says so where they cannot.
audit:
	python3 -m venv build/audit
	build/audit/bin/python -m pip install --disable-pip-version-check --quiet pip-audit==2.10.1
	build/audit/bin/python tools/audit.py

# A virtual environment of files whose SHA-256 is known. Only torch is missing there, as `pip check` says.
locked:
	python3 -m venv build/locked
	build/locked/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes --no-deps --requirement requirements.lock
	build/locked/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation .
	build/locked/bin/python -m pip check | tee build/locked/check.log; ! grep -v 'requires torch, which is not installed' build/locked/check.log
	build/locked/bin/transload --version

bench: setup
	$(PYTHON) benchmarks/convert.py
	$(PYTHON) benchmarks/latency.py
	$(PYTHON) benchmarks/call.py

# Each takes an hour of a machine that does nothing else.
.PHONY: bench-speed bench-load bench-load-cpp
bench-speed: setup
	cd benchmarks && ../$(PYTHON) speed.py

bench-load: setup
	cd benchmarks && ../$(PYTHON) load.py

# Minutes, 12 GB of disk and 8 GB of memory; GIGABYTES=1 makes a smaller model.
.PHONY: bench-large
GIGABYTES := 3
bench-large: setup
	cd benchmarks && ../$(PYTHON) large.py --gigabytes $(GIGABYTES)

# Minutes; the C++ loader beside ONNX Runtime's C++ API.
bench-load-cpp: loader
	cd benchmarks && ../$(PYTHON) load_cpp.py

mutation: setup
	$(PYTHON) -m benchmarks.mutation

culprits: setup
	$(PYTHON) -m benchmarks.culprits

# polygraphy beside the others, so that nothing else meets it.
COMPARATORS := build/comparators
comparators: setup
	[ -d $(COMPARATORS)/polygraphy ] || $(PYTHON) -m pip install --quiet --no-deps --target $(COMPARATORS) polygraphy==0.53.6
	PYTHONPATH=$(COMPARATORS) $(PYTHON) -m benchmarks.comparators

conformance: setup
	$(PYTHON) -m benchmarks.torch_operators

# timm imports torchvision, whose builds for CPU not every index has; beside the others, so that nothing else meets it.
CONFORMANCE := build/conformance
.PHONY: conformance-torch
conformance-torch: setup
	[ -d $(CONFORMANCE)/timm ] || $(PYTHON) -m pip install --quiet --no-deps --target $(CONFORMANCE) \
		timm==1.0.31 torchvision==0.28.0 pillow==13.0.0
	PYTHONPATH=$(CONFORMANCE) $(PYTHON) -m benchmarks.architectures

conformance-keras: setup
	$(PYTHON) -m benchmarks.keras_applications

conformance-tensorflow: setup
	PYTHONPATH=tests/convert/tensorflow $(PYTHON) -m benchmarks.tensorflow_operators

clean:
	rm -rf build .venv
