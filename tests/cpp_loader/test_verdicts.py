"""The Python reader and the C++ reader give the same verdict on every file: same class of error, same rule."""

from __future__ import annotations

import random
import subprocess
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from costly_files import COSTLY
from loader import BUILD, Loader, LoaderError
from onnx import TensorProto, helper
from packages import Members, edit_json, edit_model, linear_component, rebuild
from test_hostile_packages import (
    EXTERNAL_EDITS,
    INTERFACE,
    LIBRARY_DOMAIN_EDITS,
    MANIFEST_EDITS,
    MODEL,
    MODEL_EDITS,
    declare,
    field,
    inner_tensor,
    own,
    replace_member,
    set_reference,
    variant,
)

from transload.serialize import Package, open_package
from transload.serialize.errors import PackageError, TransloadError
from transload.serialize.member_names import _fold, _problem
from transload.serialize.package_file import Integrity

ACCEPTED = (0, "")


@pytest.fixture(scope="module")
def loader() -> Loader:
    return Loader()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The smallest package with weights outside the graph."""
    weight = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    path = tmp_path_factory.mktemp("small") / "m.tload"
    return Package("small", (linear_component("forward", weight),)).save(path).read_bytes()


def python_verdict(path: Path, integrity: Integrity) -> tuple[int, str]:
    try:
        package = open_package(path, integrity)
        for component in package.component_names:
            package.model_proto(component)
            package.vectors(component)
    except TransloadError as error:
        return error.exit_status, error.rule if isinstance(error, PackageError) else ""
    return ACCEPTED


def loader_verdict(loader: Loader, path: Path, integrity: Integrity) -> tuple[int, str]:
    try:
        loader.check(path, integrity)
    except LoaderError as error:
        return error.status, error.rule
    return ACCEPTED


def disagreements(
    loader: Loader, path: Path, variants: Iterator[tuple[str, bytes]], integrity: Integrity = "crc32"
) -> tuple[int, list[str]]:
    """How many of the files were refused by both, and those of which the readers say different things."""
    refused, found = 0, []
    for name, data in variants:
        path.write_bytes(data)
        python, cpp = python_verdict(path, integrity), loader_verdict(loader, path, integrity)
        if python != cpp:
            found.append(f"{name}: Python {python}, C++ {cpp}")
        refused += python != ACCEPTED
    return refused, found


def test_every_truncation_is_refused_alike(loader: Loader, small: bytes, tmp_path: Path) -> None:
    variants = ((f"{length} bytes", small[:length]) for length in range(len(small)))
    refused, found = disagreements(loader, tmp_path / "m.tload", variants)
    assert found == []
    assert refused == len(small)


def flips(data: bytes) -> Iterator[tuple[str, bytes]]:
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 0xFF
        yield f"byte {position}", bytes(flipped)


def test_every_flipped_byte_is_refused_alike(loader: Loader, small: bytes, tmp_path: Path) -> None:
    refused, found = disagreements(loader, tmp_path / "m.tload", flips(small))
    assert found == []
    assert refused == len(small), "there is a byte on which nothing hangs"


def test_flipped_bits_are_read_alike_when_no_digest_is_checked(loader: Loader, small: bytes, tmp_path: Path) -> None:
    """Past the digests, the parsers of JSON, models and vectors must agree as well."""
    chance = random.Random(0)

    def variants() -> Iterator[tuple[str, bytes]]:
        for position in chance.sample(range(len(small)), 3000):
            flipped = bytearray(small)
            flipped[position] ^= 1 << chance.randrange(8)
            yield f"byte {position}: {flipped[position]:#x}", bytes(flipped)

    refused, found = disagreements(loader, tmp_path / "m.tload", variants(), "none")
    assert found == []
    assert 0 < refused < 3000


Edit = Callable[[Members], object]


def put(name: str, **fields: object) -> Edit:
    """Set fields at the top of a JSON member."""
    return edit_json(name, lambda value: value.update(fields))


def edit_input(**fields: object) -> Edit:
    return edit_json(INTERFACE, lambda value: value["inputs"]["x"].update(fields))


def raw_json(member: str, old: bytes, new: bytes) -> Edit:
    """Replace text inside a JSON member."""

    def edit(members: Members) -> None:
        assert old in members[member]
        members[member] = members[member].replace(old, new, 1)

    return edit


def vector(**fields: Any) -> Edit:
    """Replace the first input vector's fields."""

    def edit(members: Members) -> None:
        name = "forward/portable/test_data_set_0/input_0.pb"
        tensor = TensorProto.FromString(members[name])
        for key, value in fields.items():
            if key == "dims":
                del tensor.dims[:]
                tensor.dims.extend(value)
            else:
                setattr(tensor, key, value)
        members[name] = tensor.SerializeToString()

    return edit


def twice(field: bytes) -> Edit:
    """Append a field to the model, as protobuf allows and a package does not."""
    return lambda members: members.update({MODEL: members[MODEL] + field})


def in_graph(tail: bytes) -> Edit:
    """Append fields to the graph."""

    def edit(members: Members) -> None:
        model = onnx.ModelProto.FromString(members[MODEL])
        graph = model.graph.SerializeToString() + tail
        model.ClearField("graph")
        members[MODEL] = model.SerializeToString() + field(7, graph)

    return edit


def append_to_vector(tail: bytes) -> Edit:
    name = "forward/portable/test_data_set_0/input_0.pb"
    return lambda members: members.update({name: members[name] + tail})


def nested_graphs(levels: int) -> Callable[[onnx.ModelProto], None]:
    """Subgraphs inside one another: three messages for each level."""

    def edit(model: onnx.ModelProto) -> None:
        graph = helper.make_graph([], "inner", [], [])
        for _ in range(levels):
            graph = helper.make_graph([helper.make_node("If", ["c"], [], then_branch=graph)], "inner", [], [])
        model.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=graph))

    return edit


def with_function(model: onnx.ModelProto) -> None:
    """A function of the model's own, called by its graph."""
    body = helper.make_node("Neg", ["a"], ["b"])
    model.functions.append(helper.make_function("own", "f", ["a"], ["b"], [body], [helper.make_opsetid("", 18)]))
    model.graph.node.append(helper.make_node("f", ["x"], ["z"], domain="own"))


def deep(levels: int) -> Edit:
    tree: dict[str, Any] = {"type": "none"}
    for _ in range(levels):
        tree = {"type": "list", "items": [tree]}
    return edit_json(INTERFACE, lambda value: value.update(outputs=tree))


BAD_JSON = (b"", b"[]", b"{", b"\xff\xfe", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 100_000, b"\xef\xbb\xbf{}")

EDITS: dict[str, Edit] = {
    **{f"manifest: {name}": edit_json("manifest.json", edit) for name, (edit, _) in MANIFEST_EDITS.items()},
    **{f"model: {name}": edit_model(edit) for name, (edit, _) in MODEL_EDITS.items()},
    **{f"external data: {name}": edit_model(edit) for name, edit in EXTERNAL_EDITS.items()},
    **{f"domains: {name}": declare(domains, edit) for name, (domains, edit, _) in LIBRARY_DOMAIN_EDITS.items()},
    "model: a text where a number is expected": in_graph(b"\x08\x01"),
    "model: a tag of more than 32 bits": in_graph(b"\xc5\xc5\xc5\xc5\xc5\x40\x00\x00\x00\x00"),
    "model: a tag whose lower bits are a node's": in_graph(b"\x8a\x80\x80\x80\x10\x00"),
    "model: a tag of five bytes": in_graph(b"\x85\xf7\x80\x80\x0f\x00\x00\x00\x00"),
    "model: a tag in more bytes than it needs": in_graph(b"\xa5\x8f\x80\x80\x00\x00\x00\x00\x00"),
    "model: numbers one by one that come packed": in_graph(field(5, b"\x08\x01\x10\x01\x25\x00\x00\x00\x00")),
    "model: a number of another width where they come packed": in_graph(field(5, b"\x08\x01\x10\x01\x20\x00")),
    "vector: a tag of more than 32 bits": append_to_vector(b"\xc5\xc5\xc5\xc5\xc5\x40\x00\x00\x00\x00"),
    "vector: a tag of five bytes": append_to_vector(b"\x85\xf7\x80\x80\x0f\x00\x00\x00\x00"),
    "model: a group that nobody knows, before what is known": lambda members: members.update(
        {MODEL: b"\xa3\x06\xa4\x06" + members[MODEL]}
    ),
    "domains null": put(INTERFACE, operator_domains=None),
    **{
        f"json {text!r} in {member}": replace_member(member, text)
        for member in ("manifest.json", INTERFACE)
        for text in BAD_JSON
    },
    "features as lists": edit_json("manifest.json", lambda m: own(m).update(required_features=[["a"]])),
    "features as a number": edit_json("manifest.json", lambda m: own(m).update(required_features=1)),
    "version in other digits": edit_json("manifest.json", lambda m: own(m).update(format_version="1.\u0660")),
    "version with a newline": edit_json("manifest.json", lambda m: own(m).update(format_version="1.0\n")),
    "package name as a number": put("manifest.json", package_name=1),
    "unknown fields": put("manifest.json", novelty={"a": [1, 2.5]}),
    "no session options": edit_json(
        "manifest.json", lambda m: variant(m)["executor_info"]["ort"].pop("session_options")
    ),
    "session options null": edit_json(
        "manifest.json", lambda m: variant(m)["executor_info"]["ort"].update(session_options=None)
    ),
    "a member's size as a float": raw_json("manifest.json", b'"size": ', b'"size": 0.5, "was": '),
    "a lone surrogate": raw_json("manifest.json", b'"package_name": "', b'"package_name": "\\ud800'),
    "an integer over 64 bits": put(INTERFACE, novelty=1 << 64),
    "an integer of 63 bits": put(INTERFACE, novelty=(1 << 63) - 1),
    "a number over all floats": raw_json(INTERFACE, b"{", b'{"novelty": 1e999,'),
    "interface: state of another type": put(
        INTERFACE,
        state=[{"name": "s", "input": {"type": "list", "items": []}, "output": {"type": "none"}}],
    ),
    "interface: state without initializer": edit_json(
        INTERFACE,
        lambda i: i.update(
            state=[
                {
                    "name": "s",
                    "input": {"type": "tensor", "name": "x", "dtype": "float32", "shape": None},
                    "output": {"type": "tensor", "name": "y", "dtype": "float32", "shape": None},
                }
            ],
            inputs={},
        ),
    ),
    "interface: a rank that is not known": edit_input(shape=None),
    "interface: no shape": edit_json(INTERFACE, lambda i: i["inputs"]["x"].pop("shape")),
    "interface: a size as a float": edit_input(shape=[1.0, 16]),
    "interface: a size as a boolean": edit_input(shape=[True, 16]),
    "interface: a negative size": edit_input(shape=[-1, 16]),
    "interface: dtype": edit_input(dtype="float33"),
    "interface: type": edit_input(type="tensorr"),
    "interface: type as a number": edit_input(type=1),
    "interface: version": put(INTERFACE, interface_version="2.0"),
    "interface: minor version": put(INTERFACE, interface_version="1.7"),
    "interface: no outputs": edit_json(INTERFACE, lambda i: i.pop("outputs")),
    "interface: other outputs": put(INTERFACE, outputs={"type": "none"}),
    "interface: input twice": edit_json(INTERFACE, lambda i: i["inputs"].update(again=i["inputs"]["x"])),
    "interface: input of another name": edit_input(name="z"),
    "interface: tuple": edit_json(
        INTERFACE,
        lambda i: i.update(outputs={"type": "tuple", "items": [i["outputs"]], "fields": ["a"], "name": None}),
    ),
    "interface: tuple with fields of numbers": edit_json(
        INTERFACE, lambda i: i.update(outputs={"type": "tuple", "items": [i["outputs"]], "fields": [1]})
    ),
    "interface: constant null": edit_json(
        INTERFACE,
        lambda i: i.update(outputs={"type": "list", "items": [i["outputs"], {"type": "constant", "value": None}]}),
    ),
    "interface: constant": edit_json(
        INTERFACE,
        lambda i: i.update(outputs={"type": "list", "items": [i["outputs"], {"type": "constant", "value": 2.5}]}),
    ),
    "interface: tolerance as text": put(INTERFACE, tolerances={"y": {"rtol": "1", "atol": 0}}),
    "interface: tolerance as integers": put(INTERFACE, tolerances={"y": {"rtol": 1, "atol": 0}}),
    "interface: proof without level": put(INTERFACE, proof={}),
    "interface: case with an error as text": put(
        INTERFACE, proof={"level": "full", "cases": [{"name": "a", "result": "equal", "max_rel_error": "x"}]}
    ),
    "interface: nested to the limit": deep(31),
    "interface: nested past the limit": deep(32),
    "model: empty": replace_member(MODEL, b""),
    "model: text": replace_member(MODEL, b"not a model"),
    "model: cut off": replace_member(MODEL, b"\x3a\xff"),
    "model: graph twice": twice(b"\x3a\x00"),
    "model: unknown field": twice(b"\xfa\x7f\x01a"),
    "model: field number 0": twice(b"\x00\x00"),
    "model: length of two bytes": twice(b"\x12\x81\x00c"),
    "model: a number of two bytes": replace_member(MODEL, b"\x08\x8a\x00\x3a\x00"),
    "model: dims packed": replace_member(MODEL, b"\x3a\x07\x2a\x05\x0a\x03\x01\x01\x01"),
    "model: another domain with its function": edit_model(with_function),
    "model: subgraphs to the limit of graphs": edit_model(nested_graphs(29)),
    "model: subgraphs past the limit of graphs": edit_model(nested_graphs(30)),
    "model: subgraphs to the limit of nesting": edit_model(nested_graphs(31)),
    "model: subgraphs past the limit of nesting": edit_model(nested_graphs(32)),
    "model: messages to the limit": twice(b"\xa2\x06\x00" * 1000),
    "model: the most elements": edit_model(inner_tensor(dims=[(1 << 56) - 1, 0])),
    "model: one element too many": edit_model(inner_tensor(dims=[1 << 56, 0])),
    "model: inner data of four bits": edit_model(inner_tensor(dims=[3], raw_data=b"ab")),
    "digits of a file offset": edit_model(set_reference(offset="0" * 20)),
    "too many digits of a file offset": edit_model(set_reference(offset="0" * 21)),
    "endless digits of a file offset": edit_model(set_reference(offset="0" * 5000)),
    "a signature": replace_member("model.sig", b"{}"),
    "a signature that is too long": replace_member("model.sig", b" " * ((2 << 20) + 1)),
    "a component named like a signature": edit_json(
        "manifest.json", lambda m: m["components"].update({"Model.Sig": m["components"]["forward"]})
    ),
    "assets that are not there": edit_json("manifest.json", lambda m: own(m).update(assets="sha256:" + "0" * 64)),
    "assets of a bad name": edit_json("manifest.json", lambda m: own(m).update(assets="labels")),
    "a licence": edit_json("manifest.json", lambda m: own(m).update(license="Apache-2.0 OR (MIT)", tools={"a": "1"})),
    "a licence of other characters": edit_json("manifest.json", lambda m: own(m).update(license="MIT!")),
    "a licence that is too long": edit_json("manifest.json", lambda m: own(m).update(license="M" * 257)),
    "tools without versions": edit_json("manifest.json", lambda m: own(m).update(tools={"a": 1})),
    "tools null": edit_json("manifest.json", lambda m: own(m).update(tools=None)),
    "assets null": edit_json("manifest.json", lambda m: own(m).update(assets=None)),
    "vector: garbage": replace_member("forward/portable/test_data_set_0/input_0.pb", b"\xff"),
    "vector: another name": vector(name="z"),
    "vector: another dtype": vector(data_type=TensorProto.INT32),
    "vector: unknown dtype": vector(data_type=99),
    "vector: no dtype": vector(data_type=0),
    "vector: other dims": vector(dims=[5]),
    "vector: a dim to be guessed": vector(dims=[-1]),
    "vector: dims that overflow": vector(dims=[1 << 62, 1 << 62]),
    "vector: dims that overflow beside none": vector(dims=[0, 1 << 40, 1 << 40], raw_data=b""),
    "vector: more dims than numpy takes": vector(dims=[1] * 65),
    "vector: short": vector(raw_data=b"abc"),
    "vector: external": vector(data_location=TensorProto.EXTERNAL),
    "vector: typed field": lambda members: members.update(
        {
            "forward/portable/test_data_set_0/input_0.pb": helper.make_tensor(
                "x", TensorProto.FLOAT, [1, 2], [1.0, 2.0]
            ).SerializeToString()
        }
    ),
    "vector: typed field too short": lambda members: members.update(
        {
            "forward/portable/test_data_set_0/input_0.pb": TensorProto(
                name="x", data_type=TensorProto.FLOAT, dims=[3], float_data=[1.0]
            ).SerializeToString()
        }
    ),
    "vector: in no set": replace_member("forward/portable/test_data_set_7/input_0.pb", b""),
    "vector: one too many": replace_member("forward/portable/test_data_set_0/input_1.pb", b""),
    "vector: no outputs": lambda members: members.pop("forward/portable/test_data_set_0/output_0.pb"),
    "no interface": lambda members: members.pop(INTERFACE),
    "no weights": lambda members: members.pop(f"{MODEL}.data"),
    "asset of another hash": replace_member(f"shared_assets/sha256-{'0' * 64}/labels.txt", b"cat\n"),
    "asset of a bad name": replace_member("shared_assets/labels.txt", b"cat\n"),
    "another member": replace_member("forward/portable/labels.txt", b"cat\n"),
    **COSTLY,
}


@pytest.fixture(scope="module")
def edited(small: bytes) -> dict[str, bytes]:
    return {name: rebuild(small, edit) for name, edit in EDITS.items()}


@pytest.mark.parametrize("integrity", ["crc32", "sha256"])
def test_every_broken_rule_of_the_content_is_judged_alike(
    loader: Loader, edited: dict[str, bytes], tmp_path: Path, integrity: Integrity
) -> None:
    refused, found = disagreements(loader, tmp_path / "m.tload", iter(edited.items()), integrity)
    assert found == []
    assert 0.8 * len(edited) < refused < len(edited)


def test_a_wrong_sha256_is_found_by_both(loader: Loader, small: bytes, tmp_path: Path) -> None:
    edit = edit_json("manifest.json", lambda manifest: own(manifest)["members"][INTERFACE].update(sha256="0" * 64))
    path = tmp_path / "m.tload"
    path.write_bytes(rebuild(small, edit, keep_manifest=True))
    assert python_verdict(path, "sha256") == loader_verdict(loader, path, "sha256") == (4, "sha256")
    assert python_verdict(path, "crc32") == loader_verdict(loader, path, "crc32") == ACCEPTED


def name_samples() -> list[str]:
    """Names that try every code point once, alone and after a letter, and random runs of those that combine."""
    chance = random.Random(1)
    points = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000 and point not in (0x0A, 0x0D)]
    special = [point for point in points if unicodedata.combining(chr(point)) or unicodedata.decomposition(chr(point))]
    hangul = [*range(0x1100, 0x1113), *range(0x1161, 0x1176), *range(0x11A7, 0x11C3), 0xAC00, 0xAC01, 0xD7A3]
    runs = ["".join(map(chr, chance.choices(special + hangul, k=chance.randint(2, 6)))) for _ in range(40_000)]
    parts = [
        "CON",
        "con.txt",
        "a/aux",
        "COM1.x",
        "com²",
        "LPT³",
        "COMA",
        "console",
        "NUL.a.b",
        "a" * 255,
        "a" * 256,
    ]
    paths = ["/".join(["a"] * 64), "/".join(["a"] * 65), "/".join(["b" * 200] * 5), "/".join(["b" * 200] * 6)]
    return [f"a{chr(point)}b" for point in points] + runs + parts + paths


def test_names_are_judged_and_folded_alike_for_every_code_point() -> None:
    samples = name_samples()
    text = "\n".join(samples) + "\n"
    done = subprocess.run([BUILD / "tests" / "name_probe"], input=text.encode(), capture_output=True, check=True)
    lines = done.stdout.decode().splitlines()
    assert len(lines) == len(samples)
    expected = (
        f"{int(not _problem(name))} " + "".join(f"{ord(character):x}," for character in _fold(name)) for name in samples
    )
    assert [pair for pair in zip(expected, lines, strict=True) if pair[0] != pair[1]] == []
