"""Run the operators in worker processes that may crash, and write the outcomes.

python -m benchmarks.torch_operators                 # all of them, and docs/operators-torch.md
python -m benchmarks.torch_operators linalg_ fft_    # those whose names contain one of these, printed
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from benchmarks.torch_operators.pool import run_all


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", help="parts of operators' names")
    parser.add_argument("--exact", action="store_true", help="the patterns are whole names")
    options = parser.parse_args()
    from torch.testing._internal.common_methods_invocations import op_db

    names = [op.formatted_name for op in op_db]
    if options.patterns:
        test = (lambda name, part: name == part) if options.exact else (lambda name, part: part in name)
        names = [name for name in names if any(test(name, part) for part in options.patterns)]
    outcomes = run_all(names, verbose=bool(options.patterns))
    print(dict(Counter(outcome.kind for outcome in outcomes)))
    if not options.patterns:
        from benchmarks.torch_operators.report import write_report

        write_report(outcomes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
