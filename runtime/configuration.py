"""One way to run a model: graph, optimisation level, threads, memory, provider."""

from __future__ import annotations

from typing import Literal

import msgspec
import onnxruntime as ort

from transload.runtime.device import CPU, Providers
from transload.serialize.manifest import FOLDER_OPTION

Level = Literal["disable", "basic", "extended", "all"]

LEVELS: dict[Level, ort.GraphOptimizationLevel] = {
    "disable": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}

THREAD_OPTIONS = {"OpenVINOExecutionProvider": "num_of_threads"}
"""The option by which a provider takes the number of threads, where it has threads of its own."""

FATAL_ONLY = 4
"""ONNX Runtime's log level for a session: what matters comes as an exception, the rest is chatter on stderr."""


class Configuration(msgspec.Struct, frozen=True):
    """How a session is made.

    Args:
        threads: Intra-op threads; 0 leaves the choice to ONNX Runtime.
        graph: Which graph: `portable`, or the name of a pass set.
        level: ONNX Runtime's graph optimisation level.
        prepack: Whether weights are copied into the layout of the fastest kernels.
        arena: Whether memory is kept in an arena between calls.
        flush_to_zero: Whether denormal numbers become zero.
        provider: The execution provider that comes before the CPU's.
    """

    threads: int = 0
    graph: str = "portable"
    level: Level = "all"
    prepack: bool = True
    arena: bool = True
    flush_to_zero: bool = False
    provider: str = CPU

    def text(self) -> str:
        """What differs from the default, in one line."""
        default = Configuration()
        parts = [
            f"{name}={getattr(self, name)}"
            for name in self.__struct_fields__
            if getattr(self, name) != getattr(default, name)
        ]
        return " ".join(parts) or "default"


def session_options(configuration: Configuration, folder: str) -> ort.SessionOptions:
    """ONNX Runtime's options for a configuration; external data lies in `folder`."""
    options = ort.SessionOptions()
    options.log_severity_level = FATAL_ONLY
    options.add_session_config_entry(FOLDER_OPTION, folder)
    options.intra_op_num_threads = configuration.threads
    options.graph_optimization_level = LEVELS[configuration.level]
    options.enable_cpu_mem_arena = configuration.arena
    if not configuration.prepack:
        options.add_session_config_entry("session.disable_prepacking", "1")
    if configuration.flush_to_zero:
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
    return options


def provider_list(configuration: Configuration) -> Providers:
    """The providers of a configuration, best first, the CPU's last."""
    name = configuration.provider
    if name == CPU:
        return [CPU]
    if configuration.threads and name in THREAD_OPTIONS:
        return [(name, {THREAD_OPTIONS[name]: str(configuration.threads)}), CPU]
    return [name, CPU]
