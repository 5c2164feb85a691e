"""A pass: keep of an exporter's metadata only what a user can read, and nothing of the machine that exported."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, MutableMapping
from pathlib import PurePosixPath, PureWindowsPath

import onnx_ir as ir

PRODUCER = "transload"
SOURCE_KEY = "source"
"""The node metadata that holds the source line, such as `model.py:12 in forward`."""

MODULE_KEY = "module"
"""The node metadata that holds the path of the module in which the node was made, such as `encoder.layer.0`."""

TAP_KEY = "tap"
"""The node metadata that holds the source's own name of what the node's first output holds (see `Tappable`)."""

EXPORTER_PREFIX = "pkg."

# torch.onnx.export writes a Python stack trace, innermost frame last; the TorchScript exporter writes
# "/path/model.py(12): forward" or "/path/model.py:12:0", innermost first.
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<function>\S+))?')
_RANGE = re.compile(r"(?P<file>[^\s:()]+\.py)(?:\((?P<line>\d+)\)(?:: (?P<function>\S+))?|:(?P<line2>\d+)(?::\d+)?)")
_FRAMEWORK = re.compile(r"[/\\](?:site-packages|dist-packages)[/\\](?:torch|keras|tensorflow|transload)[/\\]")


class TidyMetadataPass(ir.passes.InPlacePass):
    """Make metadata small and the same on every machine.

    1. A node's stack trace (`pkg.torch.onnx.stack_trace`, or a doc_string with source ranges) becomes one line under
       the key `source`: file name without folder, line, function. Frames of the user's code win over the framework's.
    2. The innermost module of torch's name scopes (`pkg.torch.onnx.name_scopes`) goes under the key `module`.
    3. Other metadata whose keys begin with `pkg.` is removed from the model, its graphs, nodes and values: it repeats
       the source program at length and holds object ids.
    4. doc_strings are removed.
    5. Metadata under other keys stays: it is the user's (labels, licences).
    6. The producer is transload; opset imports are sorted by domain.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        before = _digest(model)
        model.doc_string = None
        _drop_exporter_keys(model.metadata_props)
        for graph in _graphs(model):
            graph.doc_string = None
            _drop_exporter_keys(graph.metadata_props)
            for value in (*graph.inputs, *getattr(graph, "initializers", {}).values()):
                _tidy_value(value)
            for node in graph:
                _tidy_node(node)
        model.producer_name, model.producer_version = PRODUCER, None
        _sort_opsets(model.opset_imports)
        for function in model.functions.values():
            _sort_opsets(function.opset_imports)
        return ir.passes.PassResult(model, before != _digest(model))


def _graphs(model: ir.Model) -> Iterator[ir.Graph | ir.Function]:
    yield from model.graphs()
    for function in model.functions.values():
        yield function
        yield from function.subgraphs()


def find_source_line(text: str) -> str:
    """The user's source line in an exporter's stack trace or source range, as `model.py:12 in forward`, or ''."""
    frames = [(match["file"], match["line"], match["function"]) for match in _FRAME.finditer(text)]
    if frames:
        frames.reverse()
    else:
        frames = [(m["file"], m["line"] or m["line2"], m["function"]) for m in _RANGE.finditer(text)]
    if not frames:
        return ""
    file, line, function = next((frame for frame in frames if not _FRAMEWORK.search(frame[0])), frames[0])
    name = PureWindowsPath(file).name if "\\" in file else PurePosixPath(file).name
    return f"{name}:{line}" + (f" in {function}" if function else "")


def find_module(scopes: str) -> str:
    """The path of the innermost module in torch's name scopes, or ''.

    They are written as a Python list, outermost first, the operation's own name last:
    `['', 'encoder', 'encoder.layer.0', 'linear_3']`.
    """
    try:
        names = ast.literal_eval(scopes) if scopes else []
    except (ValueError, SyntaxError):
        return ""
    return str(names[-2]) if isinstance(names, list) and len(names) > 1 else ""


def _tidy_node(node: ir.Node) -> None:
    text = node.metadata_props.get("pkg.torch.onnx.stack_trace") or node.doc_string or ""
    line = find_source_line(text)
    module = find_module(node.metadata_props.get("pkg.torch.onnx.name_scopes", ""))
    _drop_exporter_keys(node.metadata_props)
    if line:
        node.metadata_props[SOURCE_KEY] = line
    if module:
        node.metadata_props[MODULE_KEY] = module
    node.doc_string = None
    for value in node.outputs:
        _tidy_value(value)


def _tidy_value(value: ir.Value) -> None:
    value.doc_string = None
    _drop_exporter_keys(value.metadata_props)
    tensor = value.const_value
    if tensor is not None:
        if isinstance(tensor, ir.serde.TensorProtoTensor):
            tensor.raw.ClearField("doc_string")
        else:
            tensor.doc_string = None
        _drop_exporter_keys(tensor.metadata_props)


def _drop_exporter_keys(properties: MutableMapping[str, str]) -> None:
    for key in [key for key in properties if key.startswith(EXPORTER_PREFIX)]:
        del properties[key]


def _sort_opsets(imports: MutableMapping[str, int]) -> None:
    for domain in sorted(imports):
        imports[domain] = imports.pop(domain)


def _digest(model: ir.Model) -> int:
    """Changes when anything changes that the pass may change."""
    parts: list[object] = [model.doc_string, model.producer_name, model.producer_version, *model.opset_imports]
    parts += model.metadata_props.items()
    for graph in _graphs(model):
        parts += [graph.doc_string, *graph.metadata_props.items()]
        for node in graph:
            parts += [node.doc_string, *node.metadata_props.items()]
            for value in node.outputs:
                parts += [value.doc_string, *value.metadata_props.items()]
    return hash(tuple(parts))
