"""Running a package with ONNX Runtime; imports neither PyTorch nor TensorFlow."""

from transload.runtime.model import Model, load
from transload.runtime.verify import ComponentVerification, replay, verify

__all__ = ["ComponentVerification", "Model", "load", "replay", "verify"]
