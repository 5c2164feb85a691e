"""Our own translator from TorchScript's IR to ONNX."""

from transload.convert.torch.script.translate import DEFAULT_OPSET, OPSETS, translate

__all__ = ["DEFAULT_OPSET", "OPSETS", "translate"]
