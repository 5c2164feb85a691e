"""Run the operators and modules in worker processes that may crash, and write the outcomes.

python -m benchmarks.torch_operators                 # all of them, and docs/operators-torch.md
python -m benchmarks.torch_operators linalg_ fft_    # those and modules whose names contain one of these, printed
"""

from __future__ import annotations

import argparse
import functools
import itertools
import sys
from collections import Counter

from benchmarks.torch_operators.case import run_module, run_operator
from benchmarks.torch_operators.pool import run_all
from benchmarks.torch_operators.report import write_report


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", help="parts of operators' names")
    parser.add_argument("--exact", action="store_true", help="the patterns are whole names")
    options = parser.parse_args()
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.common_modules import module_db

    outcomes = []
    for dynamic, (run, names) in itertools.product(
        (False, True),
        (
            (run_operator, [op.formatted_name for op in op_db]),
            (run_module, [module.name for module in module_db]),
        ),
    ):
        chosen = [name for name in names if _is_asked_for(name, options.patterns, options.exact)]
        outcomes.append(run_all(chosen, functools.partial(run, dynamic=dynamic), verbose=bool(options.patterns)))
        print("dynamic sizes:" if dynamic else "fixed sizes:", dict(Counter(each.kind for each in outcomes[-1])))
    if not options.patterns:
        write_report(*outcomes)
    return 0


def _is_asked_for(name: str, patterns: list[str], exact: bool) -> bool:
    return not patterns or any(name == part if exact else part in name for part in patterns)


if __name__ == "__main__":
    sys.exit(main())
