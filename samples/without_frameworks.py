"""Run a script in a Python that has neither PyTorch nor TensorFlow, whatever is installed.

python without_frameworks.py SCRIPT [ARGUMENT ...]
"""

from __future__ import annotations

import importlib.abc
import runpy
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

FRAMEWORKS = frozenset({"torch", "tensorflow", "keras", "onnxscript", "tf2onnx", "transformers"})


class FrameworkBlocker(importlib.abc.MetaPathFinder):
    """Answers for the frameworks that they are not installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.split(".")[0] in FRAMEWORKS:
            raise ModuleNotFoundError(f"No module named {fullname!r} (blocked)", name=fullname)
        return None


if __name__ == "__main__":
    sys.meta_path.insert(0, FrameworkBlocker())
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
