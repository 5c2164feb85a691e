"""A loaded model: called like the source was, or in ONNX Runtime's own form."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from transload.runtime.device import CPU, choose_providers
from transload.runtime.empty_sequences import fails_on_empty
from transload.runtime.feed import FeedChecker
from transload.runtime.raw_values import RAW_DTYPES, make_value, read_value
from transload.runtime.session import create_session, create_tuned_session, runtime_error
from transload.runtime.structure import flatten_arguments, unflatten
from transload.runtime.tuning.cache import find_tuned
from transload.serialize.errors import ExecutionError, PackageError, UnsupportedError, UsageError
from transload.serialize.interface import Interface, input_tensors, leaves, output_tensors
from transload.serialize.manifest import PORTABLE
from transload.serialize.package_file import Integrity, PackageFile, open_package

Array = np.ndarray[Any, Any]

TUNED = "tuned"

logger = logging.getLogger("transload")


class Model:
    """One component of a package, ready to run. Calls from several threads at once are safe.

    `variant` says which build of it runs: `portable`, or `tuned` where `transload tune` made one for this host. A call
    that the tuned one refuses (a convolution has no image without pixels, where a matrix product has no rows) is
    answered by the portable one, which `make_portable` makes when it is needed first. `refuses_empty` says that ONNX
    Runtime would end the process over an empty input.
    """

    def __init__(
        self,
        component: str,
        interface: Interface,
        session: ort.InferenceSession,
        variant: str = PORTABLE,
        make_portable: Callable[[], ort.InferenceSession] | None = None,
        *,
        refuses_empty: bool = False,
    ) -> None:
        self.component = component
        self.interface = interface
        self.variant = variant
        self._session = session
        self._make_portable = make_portable and functools.cache(make_portable)
        state = frozenset(state.input.name for state in interface.state)
        self._feed = FeedChecker({tensor.name: tensor for tensor in input_tensors(interface)}, state, refuses_empty)
        self._outputs = [value.name for value in session.get_outputs()]
        tensors = (*input_tensors(interface), *output_tensors(interface))
        self._raw = frozenset(tensor.name for tensor in tensors if tensor.dtype in RAW_DTYPES)

    @property
    def output_names(self) -> list[str]:
        """The tensors that the graph gives, in its order."""
        return list(self._outputs)

    @property
    def providers(self) -> list[str]:
        """The execution providers in use, best first."""
        return list(self._session.get_providers())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model with the source's own arguments; returns the source's own structure of numpy arrays.

        A model with state begins each such call at its initial state; `stream` carries it on.

        Raises:
            UsageError: an argument has another name, structure, dtype, rank or size than the interface says.
            ExecutionError: ONNX Runtime failed.
        """
        outputs = self._run(self._outputs, flatten_arguments(self.interface, args, kwargs))
        return unflatten(self.interface.outputs, dict(zip(self._outputs, outputs, strict=True)))

    def run(self, output_names: Sequence[str] | None, feed: Mapping[str, Any]) -> list[Array]:
        """Run the model in the calling form of `onnxruntime.InferenceSession.run`.

        Args:
            output_names: Which outputs, by tensor name; None means all, in the graph's order.
            feed: Arrays by input tensor name. State that is left out begins at its initial value.

        Raises:
            UsageError: a name, dtype, rank or size is not the interface's.
            ExecutionError: ONNX Runtime failed.
        """
        if output_names is None:
            return self._run(self._outputs, feed)
        names = list(output_names)
        if unknown := [name for name in names if name not in self._outputs]:
            raise UsageError(f"The model has no output {unknown[0]!r}.", hint=f"Outputs: {', '.join(self._outputs)}.")
        return self._run(names, feed)

    def stream(self) -> Stream:
        """A sequence of calls that carries the model's state from each to the next, beginning at the initial state."""
        return Stream(self)

    def _run(self, names: Sequence[str], feed: Mapping[str, Any]) -> list[Array]:
        arrays = self._feed.check(feed)
        try:
            return self._run_session(self._session, names, arrays)
        # ONNX Runtime's exceptions have no base class of their own; what they become, `runtime_error` decides.
        except Exception as error:
            where = f"component {self.component!r}"
            if self._make_portable is None:
                raise runtime_error(error, where) from error
            logger.debug("The tuned variant of %s failed: %s", where, error)
        portable = self._make_portable()
        try:
            return self._run_session(portable, names, arrays)
        except Exception as error:
            raise runtime_error(error, where) from error

    def _run_session(self, session: ort.InferenceSession, names: Sequence[str], feed: Mapping[str, Any]) -> list[Array]:
        outputs: list[Array]
        if not self._raw:
            outputs = session.run(names, feed)
            return outputs
        # Element types that the session's binding makes no arrays of.
        is_wanted = not self._raw.isdisjoint(names)
        values = {
            name: make_value(value) if isinstance(value, np.ndarray) and (is_wanted or name in self._raw) else value
            for name, value in feed.items()
        }
        if is_wanted:
            outputs = [read_value(value) for value in session.run_with_ort_values(names, values)]
        else:
            outputs = session.run(names, values)
        return outputs


class Stream:
    """Calls of one model in a row, with its state carried along. Two streams never mix; one is for one thread.

    `state` holds the arrays for the next call by input tensor name; it is empty before the first.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.state: dict[str, Array] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As `Model.__call__`, from the present state to the next.

        Raises:
            UsageError, ExecutionError: as `Model.__call__`; the state stays as it was.
        """
        interface = self._model.interface
        outputs = self._advance(flatten_arguments(interface, args, kwargs))
        return unflatten(interface.outputs, outputs)

    def run(self, output_names: Sequence[str] | None, feed: Mapping[str, Any]) -> list[Array]:
        """As `Model.run`, from the present state to the next; None means all outputs that are not state.

        Raises:
            UsageError, ExecutionError: as `Model.run`; the state stays as it was.
        """
        outputs = self._advance(feed)
        if output_names is None:
            return [outputs[tensor.name] for tensor in leaves(self._model.interface.outputs)]
        if unknown := [name for name in output_names if name not in outputs]:
            raise UsageError(f"The model has no output {unknown[0]!r}.", hint=f"Outputs: {', '.join(outputs)}.")
        return [outputs[name] for name in output_names]

    def reset(self) -> None:
        """Go back to the initial state."""
        self.state = {}

    def _advance(self, feed: Mapping[str, Any]) -> dict[str, Array]:
        names = self._model.output_names
        outputs = dict(zip(names, self._model.run(names, {**self.state, **feed}), strict=True))
        self.state = {state.input.name: outputs[state.output.name] for state in self._model.interface.state}
        return outputs


def load(
    path: str | Path,
    component: str | None = None,
    *,
    device: str = "auto",
    integrity: Integrity = "crc32",
    threads: int | None = None,
    optimize: bool = True,
    tuned: bool = True,
    libraries: Sequence[str | Path] = (),
) -> Model:
    """Open a package and make one of its components ready to run.

    Args:
        path: The package file.
        component: Which component; may be left out where there is one only.
        device: `auto`, `cpu`, `cuda` or `cuda:N`. `auto` takes a GPU where ONNX Runtime has one that works.
        integrity: `crc32` checks what is used, `sha256` every member, `none` nothing.
        threads: Intra-op threads; None leaves the choice to ONNX Runtime.
        optimize: False switches ONNX Runtime's graph optimisations and its pre-packing of weights off.
        tuned: Whether a variant that `transload tune` made for this very host and runtime is used where there is one.
        libraries: Shared libraries of operators, for a component whose interface declares domains of such; for any
            other they are not opened. Their code runs in this process.

    Raises:
        UsageError: the path, component, device, integrity or a library makes no sense.
        PackageError: the package is damaged.
        UnsupportedError: this ONNX Runtime lacks an operator, or a library that has it was not given.
        ExecutionError: ONNX Runtime refuses the model.
    """
    package = open_package(path, integrity)
    return load_component(
        package, component, device=device, threads=threads, optimize=optimize, tuned=tuned, libraries=libraries
    )


def load_component(
    package: PackageFile,
    component: str | None = None,
    *,
    device: str = "auto",
    threads: int | None = None,
    optimize: bool = True,
    tuned: bool = True,
    libraries: Sequence[str | Path] = (),
) -> Model:
    """As `load`, from a package that is open already."""
    name = choose_component(package, component)
    interface = package.interface(name)
    providers = choose_providers(device)
    refuses_empty = fails_on_empty(package.model_bytes(name))
    create = functools.partial(create_session, package, name, threads=threads, optimize=optimize, libraries=libraries)
    # A tuned graph has ONNX Runtime's own operators and no others.
    tuned = tuned and optimize and providers == [CPU] and not interface.operator_domains
    if tuned and (session := _open_tuned(package, name, threads)) is not None:
        portable = functools.partial(create, providers)
        return Model(name, interface, session, TUNED, portable, refuses_empty=refuses_empty)
    try:
        session = create(providers)
    except ExecutionError as error:
        if device != "auto" or providers == [CPU]:
            raise
        logger.warning("The GPU cannot be used (%s); running on the CPU.", error.what.splitlines()[0])
        session = create([CPU])
    return Model(name, interface, session, refuses_empty=refuses_empty)


def _open_tuned(package: PackageFile, component: str, threads: int | None) -> ort.InferenceSession | None:
    """A session on the tuned variant; None where there is none, or it is of no use."""
    variant = find_tuned(package, component)
    if variant is None:
        return None
    where = f"tuned variant of component {component!r}"
    try:
        return create_tuned_session(variant, threads=threads, integrity=package.integrity, where=where)
    except (PackageError, ExecutionError, UnsupportedError) as error:
        # The portable variant gives the same answers, so that nothing is lost but time.
        logger.debug("%s: %s", variant.archive.path, error.what)
        return None


def choose_component(package: PackageFile, component: str | None) -> str:
    """The component that was asked for, or the only one.

    Raises:
        UsageError: there is no such component, or there are several and none was named.
    """
    names = package.component_names
    if component is None and len(names) == 1:
        return names[0]
    if component is None:
        raise UsageError(f"The package has {len(names)} components.", hint=f"Name one: {', '.join(names)}.")
    if component not in names:
        raise UsageError(f"The package has no component {component!r}.", hint=f"It has: {', '.join(names)}.")
    return component
