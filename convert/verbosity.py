"""Whether the frameworks' own output shall be seen: a switch that a process hands to its children."""

from __future__ import annotations

import os

SWITCH = "TRANSLOAD_VERBOSE"


def is_verbose() -> bool:
    """Whether the environment asks for the frameworks' own output: `TRANSLOAD_VERBOSE=1`."""
    return os.environ.get(SWITCH) == "1"
