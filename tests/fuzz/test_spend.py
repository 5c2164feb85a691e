"""A fuzzer is stopped by the processor time that it used, and what it says at its end is counted."""

from __future__ import annotations

import sys

import pytest
from spend import spend

FUZZER = """
import signal, sys, time

def end(status):
    print("stat::number_of_executed_units: 1234", file=sys.stderr)
    sys.exit(status)

signal.signal(signal.SIGUSR1, lambda number, frame: end(0))
time.sleep(0.5)
print("INFO: seed corpus: files: 1", file=sys.stderr, flush=True)
while True:
    if sys.argv[1:] and time.process_time() > 0.1:
        end(int(sys.argv[1]))
"""


def test_it_is_interrupted_when_it_has_used_the_seconds() -> None:
    facts = spend(0.5, [sys.executable, "-c", FUZZER])
    assert (facts["executions"], facts["status"]) == (1234, 0)
    # Half a second was slept through, which is not the processor's.
    assert facts["processor seconds"] >= 0.5


@pytest.mark.parametrize("status", [77, 1])
def test_a_finding_ends_it_with_the_fuzzer_s_own_status(status: int) -> None:
    facts = spend(60, [sys.executable, "-c", FUZZER, str(status)])
    assert facts["status"] == status
    assert facts["processor seconds"] < 60
