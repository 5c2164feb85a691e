"""Passes over captured graphs, in the manner of onnx_ir: one pass, one file, one class."""

from transload.convert.passes.sequence import PassReport, run_passes
from transload.convert.passes.unsupported import find_library_domains, find_unsupported

__all__ = ["PassReport", "find_library_domains", "find_unsupported", "run_passes"]
