"""Our own translator from TorchScript's IR to ONNX."""

from transload.convert.torch.script.translate import (
    DEFAULT_OPSET,
    OPSETS,
    StateSlot,
    Translation,
    may_change_itself,
    translate,
)

__all__ = ["DEFAULT_OPSET", "OPSETS", "StateSlot", "Translation", "may_change_itself", "translate"]
