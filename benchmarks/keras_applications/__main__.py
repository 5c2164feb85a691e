"""Run the models one after another, each step in a process of its own, and write the outcomes.

python -m benchmarks.keras_applications                  # those without an outcome yet, and docs/keras-applications.md
python -m benchmarks.keras_applications --minutes 30     # those that fit into that time, small ones first
python -m benchmarks.keras_applications --again MobileNet    # anew, those whose names contain one of these
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback

import msgspec

from benchmarks.keras_applications.case import BUILD, OUTCOMES, Outcome, run_case
from benchmarks.keras_applications.models import names
from benchmarks.keras_applications.report import write_report

SMALL_FIRST = (
    *(
        "MobileNetV3Small",
        "MobileNetV2",
        "MobileNetV3Large",
        "NASNetMobile",
        "MobileNet",
        "EfficientNetB0",
        "EfficientNetV2B0",
    ),
    *("EfficientNetB1", "EfficientNetV2B1", "DenseNet121", "EfficientNetV2B2", "EfficientNetB2", "EfficientNetB3"),
    *("DenseNet169", "EfficientNetV2B3", "EfficientNetB4", "DenseNet201", "EfficientNetV2S", "Xception", "InceptionV3"),
    *("ResNet50V2", "ResNet50", "ConvNeXtTiny", "EfficientNetB5"),
)
"""The others follow by name; most are larger."""


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", help="parts of models' names")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no model after this time")
    parser.add_argument("--again", action="store_true", help="models that have an outcome too")
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    known = names()
    ordered = [*(name for name in SMALL_FIRST if name in known), *(name for name in known if name not in SMALL_FIRST)]
    deadline = time.monotonic() + 60 * options.minutes
    for name in ordered:
        done = (OUTCOMES / f"{name}.json").exists() and not options.again
        asked = not options.patterns or any(part in name for part in options.patterns)
        if asked and not done and time.monotonic() < deadline:
            _run(name)
    outcomes = {name: _read(name) for name in known if (OUTCOMES / f"{name}.json").exists()}
    write_report(list(outcomes.values()), [name for name in known if name not in outcomes])
    return 0 if all(outcome.proven for outcome in outcomes.values()) else 1


def _run(name: str) -> None:
    try:
        outcome = run_case(name)
    except RuntimeError:
        # A step that has nothing to do with conversion failed; the others go on, and the page lists it as not run.
        traceback.print_exc()
        return
    print(f"{name}: {'proven' if outcome.proven else 'NOT PROVEN'}, {outcome.proof}", flush=True)


def _read(name: str) -> Outcome:
    return msgspec.json.decode((OUTCOMES / f"{name}.json").read_bytes(), type=Outcome)


if __name__ == "__main__":
    sys.exit(main())
