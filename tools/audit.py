"""Looks for known vulnerabilities in the versions of `constraints.txt`, with pip-audit; `make audit` runs it.

The data are PyPI's own. A mirror may lack them and then seems to know of nothing, so that it is asked first about an
old release whose vulnerability is well known. Where it does not know that one, nothing is checked, and this says so.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

KNOWN = "https://pypi.org/pypi/jinja2/2.10/json"
"""Jinja2 2.10 lets templates out of its sandbox (CVE-2019-10906)."""

WAIT_S = 20


def knows_vulnerabilities(url: str) -> bool:
    """Whether the data source can be reached, and knows what everybody knows."""
    try:
        with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
            found = json.load(answer)
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and bool(found.get("vulnerabilities"))


def main(url: str = KNOWN) -> int:
    """Returns pip-audit's exit status; 0 where nothing could be checked."""
    if not knows_vulnerabilities(url):
        print(f"audit: NOTHING WAS CHECKED: there are no data on vulnerabilities at {url} from here.")
        return 0
    requirements = str(ROOT / "constraints.txt")
    return subprocess.run(
        [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "-r", requirements]
    ).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
