"""Our own translator from TorchScript's IR to ONNX."""

from transload.convert.torch.script.translate import OPSETS, translate

__all__ = ["OPSETS", "translate"]
