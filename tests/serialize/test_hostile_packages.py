"""Well-formed archives whose manifest, interface, model or vectors break a rule: each is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper
from packages import Members, edit_json, edit_model, rebuild

from transload.serialize import open_package
from transload.serialize.errors import PackageError, UsageError

Write = Callable[[bytes], Path]
INTERFACE = "forward/portable/interface.json"
MODEL = "forward/portable/model.onnx"


def refused(path: Path) -> PackageError:
    with pytest.raises(PackageError) as caught:
        package = open_package(path, integrity="sha256")
        package.model_proto("forward")
        package.vectors("forward")
    return caught.value


def variant(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest["components"]["forward"]["variants"]["portable"]  # type: ignore[no-any-return]


def own(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest["additional_metadata"]["transload"]  # type: ignore[no-any-return]


OPTION = "session.model_external_initializers_file_folder_path"
MANIFEST_EDITS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "newer schema": (lambda m: m.update(schema_version="2.0"), "schema-version"),
    "newer format": (lambda m: own(m).update(format_version="2.0"), "format-version"),
    "version that is no version": (lambda m: own(m).update(format_version="new"), "manifest-schema"),
    "unknown feature": (lambda m: own(m).update(required_features=["zstd"]), "required-features"),
    "installed layout": (lambda m: m.update(layout="installed"), "manifest-schema"),
    "no component": (lambda m: m.update(components={}), "manifest-schema"),
    "component elsewhere": (lambda m: m["components"].update(other="folder"), "manifest-schema"),
    "component without variant": (lambda m: m["components"]["forward"].update(variants={}), "manifest-schema"),
    "no portable variant": (
        lambda m: m["components"]["forward"].update(variants={"tuned": variant(m)}),
        "manifest-schema",
    ),
    "folder that escapes": (lambda m: variant(m).update(variant_directory="../portable"), "manifest-schema"),
    "folder that is absolute": (lambda m: variant(m).update(variant_directory="/portable"), "manifest-schema"),
    "folder of nothing": (lambda m: variant(m).update(variant_directory="forward/tuned"), "members"),
    "another model file": (
        lambda m: variant(m)["executor_info"]["ort"].update(model_file="../model.onnx"),
        "manifest-schema",
    ),
    "a session option that writes": (
        lambda m: variant(m)["executor_info"]["ort"].update(session_options={"session.optimized_model_filepath": "x"}),
        "manifest-schema",
    ),
    "weights in a folder of the machine": (
        lambda m: variant(m)["executor_info"]["ort"].update(session_options={OPTION: "/etc"}),
        "manifest-schema",
    ),
    "weights in an asset that is not there": (
        lambda m: variant(m)["executor_info"]["ort"].update(session_options={OPTION: "sha256:" + "0" * 64}),
        "members",
    ),
    "no part of ours": (lambda m: m.update(additional_metadata={}), "manifest-schema"),
    "components as a list": (lambda m: m.update(components=[]), "manifest-schema"),
    "reserved component name": (
        lambda m: m["components"].update(shared_assets=m["components"]["forward"]),
        "manifest-schema",
    ),
}


@pytest.mark.parametrize(("edit", "rule"), MANIFEST_EDITS.values(), ids=MANIFEST_EDITS.keys())
def test_a_bad_manifest_is_refused(
    package_bytes: bytes, write: Write, edit: Callable[[dict[str, Any]], None], rule: str
) -> None:
    assert refused(write(rebuild(package_bytes, edit_json("manifest.json", edit)))).rule == rule


def test_a_licence_with_other_characters_is_refused(package_bytes: bytes, write: Write) -> None:
    edit = edit_json("manifest.json", lambda manifest: own(manifest).update(license="MIT\n\x1b[2J"))
    assert refused(write(rebuild(package_bytes, edit))).rule == "manifest-schema"


def test_a_newer_version_is_refused_with_both_versions_in_the_message(package_bytes: bytes, write: Write) -> None:
    edit = edit_json("manifest.json", lambda manifest: own(manifest).update(format_version="7.3"))
    message = str(refused(write(rebuild(package_bytes, edit))))
    assert "7.3" in message
    assert "1.0" in message


def test_a_newer_minor_version_with_unknown_fields_opens(package_bytes: bytes, write: Write) -> None:
    edit = edit_json("manifest.json", lambda manifest: own(manifest).update(format_version="1.9", novelty=[1]))
    assert open_package(write(rebuild(package_bytes, edit))).component_names == ("forward",)


def replace_member(name: str, data: bytes) -> Callable[[Members], None]:
    return lambda members: members.update({name: data})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": 9223372036854775808}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": "\\ud800"}',
        b'{"a": 1, "a": 2}',
        b"[" * 60_000,
        b'{"a": ' + b"[" * 64 + b"1" + b"]" * 64 + b"}",
    ],
    ids=[
        "empty",
        "list",
        "cut off",
        "not UTF-8",
        "NaN",
        "infinite",
        "over 64 bits",
        "of 5000 digits",
        "half a character",
        "key twice",
        "endless",
        "deep",
    ],
)
@pytest.mark.parametrize("member", ["manifest.json", INTERFACE])
def test_json_without_one_meaning_is_refused(package_bytes: bytes, write: Write, member: str, data: bytes) -> None:
    error = refused(write(rebuild(package_bytes, replace_member(member, data))))
    assert (error.rule, error.member) == ("json", member)


def test_json_that_is_as_deep_as_allowed_is_read(package_bytes: bytes, write: Write) -> None:
    deep: Any = 1
    for _ in range(63):
        deep = [deep]
    edit = edit_json("manifest.json", lambda manifest: own(manifest).update(novelty=None) or manifest.update(deep=deep))
    assert open_package(write(rebuild(package_bytes, edit))).component_names == ("forward",)


@pytest.mark.parametrize("member", ["manifest.json", INTERFACE])
def test_json_of_too_many_bytes_is_refused_unread(package_bytes: bytes, write: Write, member: str) -> None:
    error = refused(write(rebuild(package_bytes, replace_member(member, b"{" * ((2 << 20) + 1)))))
    assert (error.rule, error.member) == ("json-size", member)


def test_a_zip_file_that_is_no_package_is_refused(package_bytes: bytes, write: Write) -> None:
    data = rebuild(package_bytes, replace_member("manifest.json", b'{"hello": "world"}'))
    assert "not a transload package" in str(refused(write(data)))


@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        (lambda i: i.update(interface_version="2.0"), "interface-version"),
        (lambda i: i.pop("outputs"), "interface-schema"),
        (lambda i: i["inputs"]["x"].update(dtype="float33"), "interface-schema"),
        (lambda i: i["inputs"]["x"].update(type="tensorr"), "interface-schema"),
        (lambda i: i["inputs"]["x"].update(shape=[-1, 256]), "interface-schema"),
        (lambda i: i["inputs"]["x"].update(shape=[1 << 63, 256]), "json"),
        (lambda i: i["inputs"].update(again=i["inputs"]["x"]), "interface-schema"),
        (lambda i: i["inputs"]["x"].update(name="z"), "interface-fits"),
        (lambda i: i.update(outputs={"type": "none"}), "interface-fits"),
    ],
)
def test_a_bad_interface_is_refused(
    package_bytes: bytes, write: Write, edit: Callable[[dict[str, Any]], None], rule: str
) -> None:
    assert refused(write(rebuild(package_bytes, edit_json(INTERFACE, edit)))).rule == rule


def set_reference(**fields: str) -> Callable[[onnx.ModelProto], None]:
    def edit(model: onnx.ModelProto) -> None:
        for entry in model.graph.initializer[0].external_data:
            entry.value = fields.get(entry.key, entry.value)

    return edit


def add_checksum(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].external_data.add(key="checksum", value="0")


def repeat_offset(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].external_data.add(key="offset", value="0")


def contradict_location(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.DEFAULT


def outside_tensor() -> onnx.TensorProto:
    tensor = TensorProto(name="leak", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "../../../etc/hostname"), ("offset", "0"), ("length", "4")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def leak_in_attribute(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["leak"], value=outside_tensor()))


def leak_in_subgraph(model: onnx.ModelProto) -> None:
    branch = helper.make_graph([], "branch", [], [], [outside_tensor()])
    model.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=branch, else_branch=branch))


def leak_in_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["leak"], value=outside_tensor())
    model.functions.append(helper.make_function("own", "f", [], ["leak"], [node], [helper.make_opsetid("", 18)]))


def leak_in_sparse_initializer(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(outside_tensor())


EXTERNAL_EDITS: dict[str, Callable[[onnx.ModelProto], None]] = {
    "absolute path": set_reference(location="/etc/hostname"),
    "path that escapes": set_reference(location="../model.onnx.data"),
    "another member": set_reference(location="interface.json"),
    "address in memory": set_reference(location="*/_ORT_MEM_ADDR_/*"),
    "past the end": set_reference(offset="4096"),
    "negative offset": set_reference(offset="-4096"),
    "offset over 64 bits": set_reference(offset=str(1 << 70)),
    "offset in other digits": set_reference(offset="\u0660"),
    "not aligned": set_reference(offset="64", length="262080"),
    "short": set_reference(length="4096"),
    "unknown key": add_checksum,
    "key twice": repeat_offset,
    "external and not": contradict_location,
    "dims that overflow": lambda model: model.graph.initializer[0].dims.append(1 << 62),
    "negative dim": lambda model: model.graph.initializer[0].dims.append(-1),
    "unknown element type": lambda model: setattr(model.graph.initializer[0], "data_type", 99),
    "leak in an attribute": leak_in_attribute,
    "leak in a subgraph": leak_in_subgraph,
    "leak in a function": leak_in_function,
    "leak in a sparse initializer": leak_in_sparse_initializer,
}


@pytest.mark.parametrize("edit", EXTERNAL_EDITS.values(), ids=EXTERNAL_EDITS.keys())
def test_external_data_that_is_not_plainly_the_package_s_own_is_refused(
    package_bytes: bytes, write: Write, edit: Callable[[onnx.ModelProto], None]
) -> None:
    error = refused(write(rebuild(package_bytes, edit_model(edit))))
    assert (error.rule, error.member) == ("external-data", MODEL)


def test_external_data_without_a_data_member_is_refused(package_bytes: bytes, write: Write) -> None:
    data = rebuild(package_bytes, lambda members: members.pop(f"{MODEL}.data"))
    assert refused(write(data)).rule == "external-data"


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x3a\xff"], ids=["empty", "text", "cut off"])
def test_a_model_that_is_no_model_is_refused(package_bytes: bytes, write: Write, data: bytes) -> None:
    assert refused(write(rebuild(package_bytes, replace_member(MODEL, data)))).rule == "onnx"


def nested(depth: int) -> Callable[[onnx.ModelProto], None]:
    """Branches inside branches: `depth` graphs around the innermost."""

    def edit(model: onnx.ModelProto) -> None:
        branch = helper.make_graph([helper.make_node("Constant", [], ["c"], value_float=1.0)], "branch", [], [])
        for _ in range(depth - 1):
            branch = helper.make_graph([helper.make_node("If", ["t"], ["c"], then_branch=branch)], "branch", [], [])
        model.graph.node.append(helper.make_node("If", ["t"], ["d"], then_branch=branch))

    return edit


def function(name: str, *calls: str, domain: str = "own") -> onnx.FunctionProto:
    nodes = [helper.make_node(call, ["a"], ["b"], domain=domain) for call in calls]
    return helper.make_function(domain, name, ["a"], ["b"], nodes, [helper.make_opsetid("", 18)])


def functions(*made: onnx.FunctionProto) -> Callable[[onnx.ModelProto], None]:
    return lambda model: model.functions.extend(made)


def unfold(model: onnx.ModelProto) -> None:
    """Thirty functions that each call the next twice: a thousand million nodes once they are put in place."""
    model.functions.extend(function(f"f{level}", f"f{level + 1}", f"f{level + 1}") for level in range(30))
    model.functions.append(helper.make_function("own", "f30", [], [], [helper.make_node("Neg", ["a"], ["b"])], []))
    model.graph.node.append(helper.make_node("f0", ["x"], ["z"], domain="own"))


def training(model: onnx.ModelProto) -> None:
    model.training_info.add().algorithm.initializer.append(outside_tensor())


def inner_tensor(**fields: Any) -> Callable[[onnx.ModelProto], None]:
    tensor = TensorProto(name="inner", data_type=TensorProto.FLOAT, **fields)
    return lambda model: model.graph.node.append(helper.make_node("Constant", [], ["inner"], value=tensor))


def add_node(domain: str, op_type: str = "FusedGemm") -> Callable[[onnx.ModelProto], None]:
    return lambda model: model.graph.node.append(helper.make_node(op_type, ["x"], ["z"], domain=domain))


LIBRARY_DOMAIN_EDITS: dict[str, tuple[list[Any], Callable[[onnx.ModelProto], object], str | None]] = {
    "an operator of the domain": (["ai.onnx.contrib"], add_node("ai.onnx.contrib"), None),
    "two domains": (["my.ops", "ai.onnx.contrib"], add_node("my.ops"), None),
    "a domain that no operator has": (["my.ops"], lambda model: None, None),
    "an operator of another domain": (["my.ops"], add_node("ai.onnx.contrib"), "onnx-domains"),
    "letter case": (["My.Ops"], add_node("my.ops"), "onnx-domains"),
    "a function in place of the library's operator": (["own"], functions(function("f")), "onnx-functions"),
    "a domain twice": (["my.ops", "my.ops"], add_node("my.ops"), "interface-schema"),
    "ONNX Runtime's own": (["com.microsoft"], add_node("com.microsoft"), "interface-schema"),
    "ONNX Runtime's own, of one kernel": (["com.microsoft.nchwc"], lambda model: None, "interface-schema"),
    "ONNX Runtime's own inside": (["com.ms.internal.nhwc"], lambda model: None, "interface-schema"),
    "a domain that only begins alike": (["com.microsofty"], add_node("com.microsofty"), None),
    "ONNX's own": (["ai.onnx"], lambda model: None, "interface-schema"),
    "ONNX's own, by its short name": ([""], lambda model: None, "interface-schema"),
    "not a name": (["my ops"], lambda model: None, "interface-schema"),
    "a name that begins with a dot": ([".ops"], lambda model: None, "interface-schema"),
    "other letters": (["\u0430i"], lambda model: None, "interface-schema"),
    "a newline behind": (["my.ops\n"], lambda model: None, "interface-schema"),
    "the longest name": (["a" * 255], lambda model: None, None),
    "a name that is too long": (["a" * 256], lambda model: None, "interface-schema"),
    "a number": ([1], lambda model: None, "interface-schema"),
}
"""What the interface declares, an edit of the model, and the rule that refuses both together."""


def declare(domains: list[Any], edit: Callable[[onnx.ModelProto], object]) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        edit_json(INTERFACE, lambda value: value.update(operator_domains=domains))(members)
        edit_model(edit)(members)

    return change


@pytest.mark.parametrize(("domains", "edit", "rule"), LIBRARY_DOMAIN_EDITS.values(), ids=LIBRARY_DOMAIN_EDITS.keys())
def test_operators_of_other_domains_are_read_only_where_the_interface_declares_them(
    package_bytes: bytes,
    write: Write,
    domains: list[Any],
    edit: Callable[[onnx.ModelProto], object],
    rule: str | None,
) -> None:
    path = write(rebuild(package_bytes, declare(domains, edit)))
    if rule is None:
        assert list(open_package(path).interface("forward").operator_domains) == domains
        assert open_package(path).model_proto("forward")
    else:
        assert refused(path).rule == rule


MODEL_EDITS: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "graphs nested too deep": (nested(31), "onnx-depth"),
    "function that calls itself": (functions(function("f", "f")), "onnx-functions"),
    "functions that call each other": (functions(function("f", "g"), function("g", "h", "f")), "onnx-functions"),
    "function twice": (functions(function("f"), function("f")), "onnx-functions"),
    "function in place of an operator": (functions(function("MatMul", domain="")), "onnx-functions"),
    "functions that unfold": (unfold, "onnx-functions"),
    "operator of another domain": (add_node("com.microsoft"), "onnx-domains"),
    "operator that loads a library": (add_node("com.microsoft", "EPContext"), "onnx-domains"),
    "operator of another domain in a function": (functions(function("f", "g")), "onnx-domains"),
    "training information": (training, "onnx-training"),
    "session options of its own": (
        lambda model: model.metadata_props.add(key="ort_config", value="{}"),
        "onnx-config",
    ),
    "negative dimension inside": (inner_tensor(dims=[-1]), "onnx-tensors"),
    "dimensions inside that overflow": (inner_tensor(dims=[1 << 40, 1 << 40, 0]), "onnx-tensors"),
    "too few bytes inside": (inner_tensor(dims=[2], raw_data=b"1234567"), "onnx-tensors"),
}


@pytest.mark.parametrize(("edit", "rule"), MODEL_EDITS.values(), ids=MODEL_EDITS.keys())
def test_a_model_that_is_not_bounded_and_self_contained_is_refused(
    package_bytes: bytes, write: Write, edit: Callable[[onnx.ModelProto], object], rule: str
) -> None:
    error = refused(write(rebuild(package_bytes, edit_model(edit))))
    assert (error.rule, error.member) == (rule, MODEL)


def test_graphs_nested_as_deep_as_allowed_are_read(package_bytes: bytes, write: Write) -> None:
    package = open_package(write(rebuild(package_bytes, edit_model(nested(30)))))
    assert package.model_proto("forward").graph.node[-1].op_type == "If"


def field(number: int, payload: bytes) -> bytes:
    """A field of protobuf's wire format that holds a message or bytes."""
    size = b""
    rest = len(payload)
    while rest > 0x7F:
        size += bytes([rest & 0x7F | 0x80])
        rest >>= 7
    return bytes([number << 3 | 2]) + size + bytes([rest]) + payload


def test_graphs_nested_deeper_than_any_parser_goes_are_refused(package_bytes: bytes, write: Write) -> None:
    graph = b""
    for _ in range(2_000):
        # GraphProto.node, NodeProto.attribute, AttributeProto.g
        graph = field(1, field(5, field(6, graph)))
    error = refused(write(rebuild(package_bytes, replace_member(MODEL, field(7, graph)))))
    assert (error.rule, error.member) == ("onnx", MODEL)


@pytest.mark.parametrize("name", [b"MatMul", b"weight", b"y"])
def test_a_name_in_the_model_that_is_not_utf8_is_refused(package_bytes: bytes, write: Write, name: bytes) -> None:
    def edit(members: Members) -> None:
        assert name in members[MODEL]
        members[MODEL] = members[MODEL].replace(name, b"\xff" * len(name))

    error = refused(write(rebuild(package_bytes, edit)))
    assert (error.rule, error.member) == ("onnx-text", MODEL)


def append_to_model(tail: bytes) -> Callable[[Members], None]:
    return lambda members: members.update({MODEL: members[MODEL] + tail})


@pytest.mark.parametrize(
    "tail",
    [b"\x08\x0a", b"\x3a\x02\x12\x00", b"\x12\x81\x00c"],
    ids=["version twice", "graph twice", "length in more bytes than it needs"],
)
def test_a_model_that_hides_something_from_one_of_two_readers_is_refused(
    package_bytes: bytes, write: Write, tail: bytes
) -> None:
    error = refused(write(rebuild(package_bytes, append_to_model(tail))))
    assert (error.rule, error.member) == ("onnx-form", MODEL)


@pytest.mark.parametrize(
    "tail",
    [b"\x3a\x80\x80\x20" + b"\x0a\x00" * (1 << 18), b"\xa2\x06\x00" * ((1 << 19) + 1)],
    ids=["messages", "fields"],
)
def test_a_model_of_too_many_parts_is_refused_before_it_is_parsed(
    package_bytes: bytes, write: Write, tail: bytes
) -> None:
    error = refused(write(rebuild(package_bytes, append_to_model(tail))))
    assert (error.rule, error.member) == ("onnx-size", MODEL)


def external_vector(members: Members) -> None:
    members["forward/portable/test_data_set_0/input_0.pb"] = outside_tensor().SerializeToString()


@pytest.mark.parametrize(
    "edit",
    [
        external_vector,
        replace_member("forward/portable/test_data_set_0/input_0.pb", b"\xff"),
        replace_member(
            "forward/portable/test_data_set_0/input_0.pb",
            helper.make_tensor("z", TensorProto.FLOAT, [1], [0.0]).SerializeToString(),
        ),
        replace_member(
            "forward/portable/test_data_set_0/input_0.pb",
            helper.make_tensor("x", TensorProto.INT64, [1], [0]).SerializeToString(),
        ),
    ],
    ids=["external", "garbage", "another name", "another dtype"],
)
def test_bad_vectors_are_refused(package_bytes: bytes, write: Write, edit: Callable[[Members], None]) -> None:
    assert refused(write(rebuild(package_bytes, edit))).rule == "vectors"


@pytest.mark.parametrize("name", ["test_data_set_7/input_0.pb", "test_data_set_0/input_1.pb", "test_data_set_x"])
def test_a_vector_that_belongs_to_no_set_is_refused(package_bytes: bytes, write: Write, name: str) -> None:
    error = refused(write(rebuild(package_bytes, replace_member(f"forward/portable/{name}", b""))))
    assert (error.rule, error.member) == ("vectors", f"forward/portable/{name}")


def test_a_vector_set_without_outputs_is_refused(package_bytes: bytes, write: Write) -> None:
    name = "forward/portable/test_data_set_0/output_0.pb"
    error = refused(write(rebuild(package_bytes, lambda members: members.pop(name))))
    assert (error.rule, error.member) == ("members", name)


def test_a_member_that_the_manifest_does_not_list_is_refused(package_bytes: bytes, write: Write) -> None:
    error = refused(write(rebuild(package_bytes, replace_member("extra", b"hidden"), keep_manifest=True)))
    assert (error.rule, error.member) == ("members", "extra")


def test_a_member_that_is_missing_is_refused(package_bytes: bytes, write: Write) -> None:
    error = refused(write(rebuild(package_bytes, lambda members: members.pop(INTERFACE), keep_manifest=True)))
    assert (error.rule, error.member) == ("members", INTERFACE)


def test_a_size_other_than_the_manifest_s_is_refused(package_bytes: bytes, write: Write) -> None:
    error = refused(write(rebuild(package_bytes, replace_member(INTERFACE, b"{}"), keep_manifest=True)))
    assert (error.rule, error.member) == ("members", INTERFACE)


def test_a_wrong_sha256_is_found_even_if_the_crc_is_right(package_bytes: bytes, write: Write) -> None:
    edit = edit_json("manifest.json", lambda manifest: own(manifest)["members"][INTERFACE].update(sha256="0" * 64))
    path = write(rebuild(package_bytes, edit, keep_manifest=True))
    open_package(path, integrity="crc32").interface("forward")
    error = refused(path)
    assert (error.rule, error.member) == ("sha256", INTERFACE)


def test_an_asset_folder_that_is_not_the_hash_of_its_files_is_refused(package_bytes: bytes, write: Write) -> None:
    name = f"shared_assets/sha256-{'0' * 64}/labels.txt"
    error = refused(write(rebuild(package_bytes, replace_member(name, b"cat\ndog\n"))))
    assert error.rule == "shared-assets"


def test_an_unknown_integrity_is_a_usage_error(package_bytes: bytes, write: Write) -> None:
    with pytest.raises(UsageError, match="none, crc32, sha256"):
        open_package(write(package_bytes), integrity="md5")  # type: ignore[arg-type]


def test_damaged_weights_are_found_when_they_are_used_unless_integrity_is_none(
    package_bytes: bytes, write: Write
) -> None:
    offset = open_package(write(package_bytes)).members[f"{MODEL}.data"].offset
    spoiled = bytearray(package_bytes)
    spoiled[offset + 777] ^= 1
    path = write(bytes(spoiled))
    with pytest.raises(PackageError) as caught:
        open_package(path).model_proto("forward")
    assert (caught.value.rule, caught.value.member) == ("crc32", f"{MODEL}.data")
    assert open_package(path, integrity="none").model_proto("forward").graph.node
