"""Running a package with ONNX Runtime; imports neither PyTorch nor TensorFlow."""

from transload.runtime.model import Model, load

__all__ = ["Model", "load"]
