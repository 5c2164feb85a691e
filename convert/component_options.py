"""The options of a conversion as they concern one of several components: `component.input` is that one's alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from transload.convert.options import ConvertOptions


def options_for(component: str, parameters: Mapping[str, Collection[str]], options: ConvertOptions) -> ConvertOptions:
    """What the user said of one component's inputs.

    An input is named `component.input`, or `input` alone, which concerns every component that has it. A name that no
    component has stays with all of them, so that each can refuse it.

    Args:
        component: Which one.
        parameters: The names of the parameters of each component.
        options: What the user said of all.
    """

    def take(name: str) -> str | None:
        """The name without the component's, or None where it is another component's."""
        for each in sorted(parameters, key=len, reverse=True):
            if name.startswith(f"{each}."):
                return name.removeprefix(f"{each}.") if each == component else None
        if _has(parameters[component], name) or not any(_has(each, name) for each in parameters.values()):
            return name
        return None

    specs = [replace(spec, name=name) for spec in options.inputs if (name := take(spec.name)) is not None]
    example: Mapping[str, Any] | None = None
    if options.example is not None:
        example = {name: value for key, value in options.example.items() if (name := take(key)) is not None}
    turned = tuple(name for each in options.inputs_as_nchw if (name := take(each)) is not None)
    return replace(options, inputs=tuple(specs), example=example or None, inputs_as_nchw=turned)


def _has(parameters: Collection[str], name: str) -> bool:
    """Whether an input is a parameter, or a path that begins with one."""
    return name in parameters or name.partition("/")[0] in parameters
