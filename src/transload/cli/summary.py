"""What `convert` and `inspect` say of a package: as JSON objects and as text."""

from __future__ import annotations

from typing import Any

import msgspec

from transload.runtime.structure import describe
from transload.serialize import PackageFile
from transload.serialize.interface import Interface, Proof, Tensor, input_tensors, output_tensors


def package_facts(package: PackageFile) -> dict[str, Any]:
    """Everything that a package says of itself, as JSON objects."""
    own = package.manifest.additional_metadata.transload
    return {
        "path": str(package.path),
        "name": package.manifest.package_name,
        "size_bytes": package.size_bytes,
        "digest": package.digest,
        "format_version": own.format_version,
        "producer": own.producer,
        "license": own.license,
        "tools": own.tools,
        "components": {name: component_facts(package, name) for name in package.component_names},
        "members": {
            name: {"size_bytes": member.size_bytes, "offset": member.offset, "crc32": f"{member.crc32:08x}"}
            for name, member in package.members.items()
        },
    }


def component_facts(package: PackageFile, component: str) -> dict[str, Any]:
    """A component's interface, the opsets of its graph, and what was tried to prove it."""
    interface = package.interface(component)
    facts: dict[str, Any] = msgspec.to_builtins(interface)
    return facts | {
        "opset": read_opsets(package, component),
        "vectors": len(package.vectors(component)),
        "largest_error": largest_error(interface.proof),
        "cases_tried": len(interface.proof.cases),
    }


def read_opsets(package: PackageFile, component: str) -> dict[str, int]:
    """The opset versions of a component's graph by domain; ONNX's own is `ai.onnx`."""
    return {item.domain or "ai.onnx": item.version for item in package.model_proto(component).opset_import}


def largest_error(proof: Proof) -> float:
    """The largest absolute error of all that was tried."""
    return max((case.max_abs_error for case in proof.cases), default=0.0)


def proof_text(proof: Proof) -> str:
    """The evidence in one line."""
    if proof.level == "none":
        return "none: nobody has checked that source and package agree"
    counts = {result: sum(case.result == result for case in proof.cases) for result in ("equal", "noise", "undefined")}
    words = {
        "equal": "equal",
        "noise": "equal within the source's own noise",
        "undefined": "undefined in the source",
    }
    parts = [f"{count} {words[result]}" for result, count in counts.items() if count]
    return (
        f"{proof.level}: {len(proof.cases)} input sets tried ({', '.join(parts)}), "
        f"largest error {largest_error(proof):.3g}"
    )


def source_text(interface: Interface) -> str:
    """Where a component came from, in one line."""
    source = interface.source
    digest = f", sha256 {source.sha256[:16]}…" if source.sha256 else ""
    return f"{source.kind} ({source.framework} {source.framework_version}{digest})"


def tensor_rows(interface: Interface) -> list[tuple[str, str, str]]:
    """Every input and output tensor: which of both, its name, its dtype and shape."""
    rows: list[tuple[str, str, str]] = []
    for kind, tensors in (("input", input_tensors(interface)), ("output", output_tensors(interface))):
        rows += [(kind, tensor.name, describe(tensor)) for tensor in tensors]
    return rows


def structure_text(interface: Interface) -> str:
    """How the component is called and what it returns."""
    parameters = ", ".join(
        name if isinstance(node, Tensor) else f"{name}={describe(node)}" for name, node in interface.inputs.items()
    )
    return f"({parameters}) -> {describe(interface.outputs)}"


def size_text(size_bytes: int) -> str:
    """A size for people: `14.2 MB`."""
    size, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
