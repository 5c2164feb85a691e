"""What the members of a package are called, and ONNX Runtime's name for a folder of shared ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

MODEL_NAME = "model.onnx"
DATA_NAME = "model.onnx.data"
SHARED_DATA_NAME = "weights.data"
INTERFACE_NAME = "interface.json"
SIGNATURE_NAME = "model.sig"
"""The one member that the manifest does not list, so that signing a package leaves its digest as it was."""


def asset_uri(sha256: Mapping[str, str]) -> str:
    """ONNX Runtime's name for a folder of shared files, given the SHA-256 of each by relative path.

    Source: onnxruntime `model_package/README.md`, "Canonical asset URI".
    """
    lines = "".join(f"{sha256[name]}  {name}\n" for name in sorted(sha256, key=str.encode))
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
