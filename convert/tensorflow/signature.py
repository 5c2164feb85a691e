"""From what a ConcreteFunction takes and returns to named trees, in step with the flat order of its tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from transload.convert.options import ConvertOptions, InputSpec
from transload.convert.structure import build_output_tree, build_tree
from transload.convert.tensorflow.framework import dtype_name, tf
from transload.convert.tensorflow.function import NamedFunction
from transload.serialize.errors import UsageError
from transload.serialize.interface import Dimension, Node, Tensor

_NO_WORD = re.compile(r"\W")


def name_function(
    component: str, function: Any, options: ConvertOptions, parameters: Sequence[str] | None = None
) -> NamedFunction:
    """A ConcreteFunction with a signature, under the names of its parameters and of what it returns.

    Args:
        component: What it is called.
        function: The function.
        options: Descriptions of inputs.
        parameters: Names for its positional parameters, where its own are not the source's.

    Raises:
        UnsupportedError: it takes or returns something that is neither a tensor, a structure of them, nor a constant.
        UsageError: an input description does not fit.
    """
    tree, inputs = name_parameters(function, options, parameters)
    structure = _sort_keys(function.structured_outputs)
    outputs, results = name_results(structure, function.outputs, [leaf.name for leaf in inputs.values()])
    return NamedFunction(component, function, inputs, tree, outputs, results)


def name_specs(
    component: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any], options: ConvertOptions
) -> NamedFunction:
    """A signature that is not loaded, as `name_function` names it once it is.

    Args:
        component: What it is called.
        inputs, outputs: A TensorSpec by the signature's own name of each, with TensorFlow's name of the tensor.
        options: Descriptions of inputs.

    Raises:
        UsageError: an input description does not fit.
    """
    specs = {spec.name: spec for spec in options.inputs}
    tree = {
        name: name_dimensions(name, inputs[name].shape, inputs[name].dtype, specs.get(name)) for name in sorted(inputs)
    }
    check_names(options, list(tree))
    results_tree, results = name_results(
        _sort_keys(dict(outputs)), [outputs[name] for name in sorted(outputs)], list(tree)
    )
    named = {inputs[name].name: leaf for name, leaf in tree.items()}
    return NamedFunction(component, None, named, dict(tree), results_tree, results)


def parameter_values(function: Any, parameters: Sequence[str] | None = None) -> dict[str, Any]:
    """What a ConcreteFunction was traced with by parameter name: structures of TensorSpecs, or constants."""
    args, kwargs = function.structured_input_signature
    if parameters is None:
        parameters = [name for name in function.function_type.parameters if name not in kwargs] if args else ()
    positional = dict(zip(parameters, map(_sort_keys, args), strict=True))
    return positional | {name: _sort_keys(kwargs[name]) for name in sorted(kwargs)}


def name_parameters(
    function: Any, options: ConvertOptions, parameters: Sequence[str] | None = None
) -> tuple[dict[str, Node], dict[str, Tensor]]:
    """The tree of each parameter, and the leaves by TensorFlow's tensor name in its flat order."""
    boxed = {name: _box(value) for name, value in parameter_values(function, parameters).items()}
    specs = {spec.name: spec for spec in options.inputs}
    found: dict[int, Tensor] = {}

    def leaf(path: str, item: Any) -> Tensor | None:
        if not isinstance(item, _Box):
            return None
        found[id(item)] = name_dimensions(path, item.tensor.shape, item.tensor.dtype, specs.get(path))
        return found[id(item)]

    tree = {name: build_tree(value, leaf, name) for name, value in boxed.items()}
    args, kwargs = function.structured_input_signature
    order = [*list(boxed.values())[: len(args)], {name: boxed[name] for name in kwargs}]
    leaves = [found[id(item)] for item in tf.nest.flatten(order) if isinstance(item, _Box)]
    check_names(options, [leaf.name for leaf in leaves])
    return tree, {graph.name: leaf for graph, leaf in zip(graph_tensors(function), leaves, strict=True)}


def name_results(structure: Any, tensors: Sequence[Any], taken: Iterable[str]) -> tuple[Node, dict[str, str]]:
    """The tree of what a function returns, and TensorFlow's tensor name by leaf name in its flat order.

    Args:
        structure: What it returns: symbolic tensors, or TensorSpecs.
        tensors: Its tensors in TensorFlow's flat order.
        taken: The inputs' names, which outputs must not have.
    """
    boxed = _box(structure)
    found: dict[int, Tensor] = {}

    def leaf(path: str, item: Any) -> Tensor | None:
        if not isinstance(item, _Box):
            return None
        shape = None if item.tensor.shape.rank is None else tuple(item.tensor.shape)
        found[id(item)] = Tensor(path, dtype_name(item.tensor.dtype), shape)
        return found[id(item)]

    tree = build_output_tree(boxed, leaf, taken)
    boxes = [item for item in tf.nest.flatten(boxed) if isinstance(item, _Box)]
    # TensorFlow 1's signatures may give one tensor under several names; TensorFlow 2's give descriptions here.
    symbolic = all(tf.is_symbolic_tensor(box.tensor) for box in boxes)
    graph = [box.tensor for box in boxes] if symbolic else tensors
    return tree, {found[id(box)].name: tensor.name for box, tensor in zip(boxes, graph, strict=True)}


def graph_tensors(function: Any) -> list[Any]:
    """The inputs that a caller gives, without captured variables."""
    captured = {id(tensor) for tensor in function.graph.internal_captures}
    return [tensor for tensor in function.inputs if id(tensor) not in captured]


def name_dimensions(name: str, shape: Any, dtype: Any, spec: InputSpec | None) -> Tensor:
    """An input's leaf: TensorFlow's unknown first size is `batch`, others have names of their own.

    Raises:
        UsageError: the user's description does not fit TensorFlow's shape.
    """
    if shape.rank is None and (spec is None or spec.shape is None):
        raise UsageError(
            f"TensorFlow does not know the rank of the input {name!r}.",
            hint=f"Describe it: --input '{name}:{dtype_name(dtype)}[batch,…]'.",
        )
    if spec is not None and spec.dtype != dtype_name(dtype):
        raise UsageError(f"The input {name!r} is {dtype_name(dtype)}, not {spec.dtype}.")
    known: list[int | None] = [None] * len(spec.shape or ()) if shape.rank is None and spec else list(shape)
    wanted = known if spec is None or spec.shape is None else list(spec.shape)
    if len(wanted) != len(known):
        raise UsageError(f"The input {name!r} has rank {len(known)}, not {len(wanted)}.")
    dims: list[Dimension] = []
    for axis, (size, dim) in enumerate(zip(known, wanted, strict=True)):
        if isinstance(size, int) and dim != size:
            raise UsageError(f"Axis {axis} of the input {name!r} is always {size}; {dim!r} was asked for.")
        default = "batch" if axis == 0 else f"{_NO_WORD.sub('_', name)}_dim_{axis}"
        dims.append(default if dim is None else dim)
    return Tensor(name, dtype_name(dtype), tuple(dims))


def check_names(options: ConvertOptions, names: Sequence[str]) -> None:
    """Refuse descriptions and examples of inputs that are not there.

    Raises:
        UsageError: there is one.
    """
    for name in (*(spec.name for spec in options.inputs), *(options.example or ())):
        if name not in names:
            raise UsageError(f"The source has no input {name!r}.", hint=f"Inputs: {', '.join(names) or 'none'}.")


class _Box:
    """A tensor as an object of its own, since one tensor may stand at several places of a structure."""

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor


def _box(structure: Any) -> Any:
    return tf.nest.map_structure(lambda item: _Box(item) if _is_tensor(item) else item, structure)


def _sort_keys(structure: Any) -> Any:
    """The structure with the keys of its dicts sorted, since a SavedModel does not keep their order."""
    match structure:
        case dict():
            return {key: _sort_keys(structure[key]) for key in sorted(structure)}
        case tuple() if hasattr(structure, "_fields"):
            return type(structure)(*map(_sort_keys, structure))
        case list() | tuple():
            return type(structure)(map(_sort_keys, structure))
        case _:
            return structure


def _is_tensor(item: Any) -> bool:
    return isinstance(item, tf.TensorSpec) or tf.is_symbolic_tensor(item)
