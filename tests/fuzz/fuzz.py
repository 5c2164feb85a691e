"""Fuzzes one target of transload, guided by coverage: `python tests/fuzz/fuzz.py TARGET OPTION ...`.

Inputs that reach new code go to `build/fuzz/TARGET`; the seeds lie in `tests/fuzz/corpus/TARGET`. The exit status is
not 0 when something was found; the input then lies in `build/fuzz` as `crash-…`. Needs the extra [fuzz].
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["transload", "targets"]):
    from targets import TARGETS, call

HERE = Path(__file__).resolve().parent
FOUND = HERE.parents[1] / "build" / "fuzz"

SLOW_S = 5
MEMORY_MB = 1024


def main(target: str, *options: str) -> None:
    """Fuzz with libFuzzer's options, and folders of inputs if not those above; never returns."""
    if target not in TARGETS:
        sys.exit(f"fuzz: there is no target {target!r}; there are {', '.join(TARGETS)}")
    corpus = FOUND / target
    corpus.mkdir(parents=True, exist_ok=True)
    has_folders = any(not option.startswith("-") for option in options)
    arguments = [
        *(sys.argv[0], *(() if has_folders else (str(corpus), str(HERE / "corpus" / target)))),
        *(f"-timeout={SLOW_S}", f"-rss_limit_mb={MEMORY_MB}"),
        *(f"-artifact_prefix={FOUND}/", "-max_len=65536", "-print_final_stats=1", "-verbosity=0"),
        *options,
    ]
    atheris.Setup(arguments, lambda data: call(target, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
