"""Runs a fuzzer until it has used so much processor time: `python tests/fuzz/spend.py NAME SECONDS COMMAND ...`.

libFuzzer, and atheris with it, count seconds on the clock only, which beside other work are few of the processor's. So
the command, which must be one process, is watched and asked to end. What was spent is printed, and added to
`build/fuzz/spent.jsonl`; `python tests/fuzz/spend.py` alone prints the sums. The exit status is the fuzzer's where it
found something.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

SPENT = Path(__file__).resolve().parents[2] / "build" / "fuzz" / "spent.jsonl"

EXECUTIONS = re.compile(r"^stat::number_of_executed_units:\s*(\d+)$", re.MULTILINE)
"""What `-print_final_stats=1` writes at the end."""

STARTED = "INFO: seed corpus:"
"""What libFuzzer writes when it begins with the inputs that it has. Before, atheris takes seconds to get ready."""

POLL_S = 0.2


def spend(seconds: float, command: list[str]) -> dict[str, float]:
    """Run a fuzzer until it has spent the seconds, its start not counted, or has ended by itself."""
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        fuzzer = subprocess.Popen(command, stderr=log)
        spent, start = 0.0, None
        try:
            while fuzzer.poll() is None:
                used = _processor_s(fuzzer.pid)
                if start is None and STARTED in Path(f"/proc/self/fd/{log.fileno()}").read_text(errors="replace"):
                    start = used
                spent = 0.0 if start is None else used - start
                if spent >= seconds:
                    # libFuzzer ends at the next input, and says what it did.
                    fuzzer.send_signal(signal.SIGUSR1)
                    fuzzer.wait()
                time.sleep(POLL_S)
        finally:
            fuzzer.kill()
        log.seek(0)
        text = log.read()
    sys.stderr.write(text)
    found = EXECUTIONS.findall(text)
    executions = int(found[-1]) if found else 0
    return {"processor seconds": round(spent, 1), "executions": executions, "status": fuzzer.returncode}


def _processor_s(pid: int) -> float:
    """What a process has used, in seconds; see proc(5)."""
    # The name of the program, in parentheses, may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def print_sums() -> None:
    """What was spent on each target so far, all runs together."""
    seconds: Counter[str] = Counter()
    executions: Counter[str] = Counter()
    for line in SPENT.read_text().splitlines():
        facts = json.loads(line)
        seconds[facts["target"]] += facts["processor seconds"]
        executions[facts["target"]] += facts["executions"]
    for name in sorted(seconds):
        print(f"{name:20} {seconds[name]:7.0f} s {executions[name]:12,}")
    print(f"{'together':20} {seconds.total():7.0f} s {executions.total():12,}")


def main(name: str, seconds: str, *command: str) -> int:
    """Returns the exit status."""
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes")
    facts = {"target": name, "started": started, **spend(float(seconds), list(command))}
    SPENT.parent.mkdir(parents=True, exist_ok=True)
    with SPENT.open("a") as file:
        print(json.dumps(facts), file=file)
    print(json.dumps(facts), flush=True)
    return int(facts["status"])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if sys.argv[1:] else print_sums())
