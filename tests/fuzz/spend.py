"""Runs a fuzzer until it has used so much processor time: `python tests/fuzz/spend.py NAME SECONDS COMMAND ...`.

libFuzzer, and atheris with it, count seconds on the clock only, which beside other work are few of the processor's. So
the command is started again, with `-max_total_time` for what is left, until the processor has spent the seconds; its
corpus goes on from start to start. What was spent is printed, and added to `build/fuzz/spent.jsonl`. The exit status is
the fuzzer's where it found something.
"""

from __future__ import annotations

import datetime
import json
import math
import re
import resource
import subprocess
import sys
from pathlib import Path

SPENT = Path(__file__).resolve().parents[2] / "build" / "fuzz" / "spent.jsonl"

EXECUTIONS = re.compile(r"^stat::number_of_executed_units:\s*(\d+)$", re.MULTILINE)
"""What `-print_final_stats=1` writes at the end."""


def spend(seconds: float, command: list[str]) -> dict[str, float]:
    """Run a fuzzer, and again, until it has spent the seconds or has ended with another status than 0."""
    spent, executions, status, starts = 0.0, 0, 0, 0
    while status == 0 and spent < seconds:
        before = _children_s()
        left = math.ceil(seconds - spent)
        # A fuzzer writes much while it runs, all of it on stderr.
        ended = subprocess.run(
            [*command, f"-max_total_time={left}"], stderr=subprocess.PIPE, text=True, errors="replace"
        )
        sys.stderr.write(ended.stderr)
        found = EXECUTIONS.findall(ended.stderr)
        status, executions = ended.returncode, executions + (int(found[-1]) if found else 0)
        spent, starts = spent + _children_s() - before, starts + 1
    return {"processor seconds": round(spent), "executions": executions, "starts": starts, "status": status}


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
    sys.exit(main(*sys.argv[1:]))
