"""`transload-run verify --public-key` judges as `transload verify --signed-by` does, and names the same changes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from loader import run_command
from packages import Members, edit_json, linear_component, rebuild
from test_signature import CHANGES, INTERFACE, refusal, write_key

from transload.serialize import Package, open_package
from transload.serialize.signature import Key, sign_package


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the package `m.tload` and the keys of two people, `me` and `other`."""
    weight = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    Package("m", (linear_component("forward", weight),)).save(tmp_path / "m.tload")
    write_key(tmp_path, "me")
    write_key(tmp_path, "other")
    return tmp_path


@pytest.fixture
def signed(folder: Path) -> Path:
    return sign_package(folder / "m.tload", Key(folder / "me.pem"))


def check_refusal(signed: Path, key: str, reason: str, *more: object) -> None:
    done = run_command("verify", signed, "--public-key", signed.with_name(key), *more)
    assert done.returncode == 4, done.stderr
    assert reason in done.stderr
    assert "rule: signature" in done.stderr
    # Nothing was run.
    assert done.stdout == ""


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: str(curve.name))
def test_a_signed_package_is_the_signer_s(folder: Path, curve: ec.EllipticCurve) -> None:
    write_key(folder, "me", curve)
    signed = sign_package(folder / "m.tload", Key(folder / "me.pem"))
    done = run_command("verify", signed, "--public-key", folder / "me.pub")
    assert done.returncode == 0, done.stderr
    assert "signed by" in done.stderr and "equal" in done.stdout
    check_refusal(signed, "other.pub", "not made with this key")


def test_an_unsigned_package_is_refused_and_one_whose_signature_lies_beside_is_not(folder: Path) -> None:
    package = folder / "m.tload"
    check_refusal(package, "me.pub", "not signed")
    beside = sign_package(package, Key(folder / "me.pem"), beside=True)
    assert run_command("verify", package, "--public-key", folder / "me.pub").returncode == 0
    moved = beside.rename(folder / "elsewhere")
    check_refusal(package, "me.pub", "not signed")
    words = "--public-key", folder / "me.pub", "--signature"
    assert run_command("verify", package, *words, moved).returncode == 0
    assert run_command("verify", package, *words, folder / "none").returncode == 2


@pytest.mark.parametrize(("edit", "changes"), CHANGES.values(), ids=CHANGES.keys())
def test_what_was_changed_after_signing_is_named_as_python_names_it(
    signed: Path, edit: Callable[[Members], None], changes: str
) -> None:
    signed.write_bytes(rebuild(signed.read_bytes(), edit))
    assert changes in refusal(signed, signed.with_name("me.pub"))
    check_refusal(signed, "me.pub", changes)


@pytest.mark.parametrize("content", [b"", b"{}", b"not JSON", b"\xff" * 100, b'{"dsseEnvelope": {}}'])
def test_a_signature_that_is_none_is_refused(signed: Path, content: bytes) -> None:
    signed.write_bytes(rebuild(signed.read_bytes(), lambda members: members.update({"model.sig": content})))
    done = run_command("verify", signed, "--public-key", signed.with_name("me.pub"))
    assert (done.returncode, done.stdout) == (4, "")


def edit_envelope(edit: Callable[[dict[str, Any]], object]) -> Callable[[Members], None]:
    return edit_json("model.sig", lambda bundle: edit(bundle["dsseEnvelope"]))


def flip(text: str) -> str:
    return text[:20] + ("A" if text[20] != "A" else "B") + text[21:]


@pytest.mark.parametrize(
    "edit",
    [
        lambda envelope: envelope["signatures"][0].update(sig=flip(envelope["signatures"][0]["sig"])),
        lambda envelope: envelope["signatures"][0].update(sig=""),
        lambda envelope: envelope["signatures"][0].update(sig="====" * 4),
        lambda envelope: envelope["signatures"][0].update(sig=envelope["signatures"][0]["sig"][:-1]),
        lambda envelope: envelope.update(signatures=[]),
        lambda envelope: envelope.update(signatures=envelope["signatures"] * 2),
        lambda envelope: envelope.update(payload=flip(envelope["payload"])),
        lambda envelope: envelope.update(payload=envelope["payload"] + "\u0000AAA"),
        lambda envelope: envelope.update(payload="AA=A" + envelope["payload"]),
        lambda envelope: envelope.update(payloadType="application/json"),
        lambda envelope: envelope.update(payload=1),
    ],
    ids=[
        *("flipped", "empty", "padding alone", "cut short", "none", "two", "payload flipped", "a zero byte"),
        *("padding in the middle", "another type", "a number"),
    ],
)
def test_a_tampered_signature_is_refused(signed: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    signed.write_bytes(rebuild(signed.read_bytes(), edit_envelope(edit)))
    check_refusal(signed, "me.pub", "signature")


def sign_statement(signed: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Sign another statement with the same key, which only its holder can; a reader has to judge that too."""
    key = serialization.load_pem_private_key(signed.with_name("me.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    bundle = json.loads(bytes(open_package(signed).read("model.sig")))
    envelope = bundle["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    edit(statement)
    payload = json.dumps(statement).encode()
    kind = envelope["payloadType"]
    message = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    envelope["payload"] = base64.b64encode(payload).decode()
    signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
    envelope["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    content = json.dumps(bundle).encode()
    signed.write_bytes(rebuild(signed.read_bytes(), lambda members: members.update({"model.sig": content})))


def test_a_statement_that_was_signed_anew_unchanged_is_good(signed: Path) -> None:
    sign_statement(signed, lambda statement: None)
    assert run_command("verify", signed, "--public-key", signed.with_name("me.pub")).returncode == 0


def resources(statement: dict[str, Any]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = statement["predicate"]["resources"]
    return found


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda statement: statement.update(predicateType="https://example.org/other"), "something else"),
        (lambda statement: statement.update(_type="https://in-toto.io/Statement/v0.1"), "something else"),
        (lambda statement: statement.update(subject=statement["subject"] * 2), "not one subject"),
        (lambda statement: statement["subject"][0]["digest"].update(sha256="0" * 64), "not those of its subject"),
        (lambda statement: resources(statement).pop(), "not those of its subject"),
        (lambda statement: resources(statement).append(resources(statement)[0]), "listed twice"),
        (lambda statement: resources(statement)[0].update(algorithm="blake2b"), "SHA-256"),
        (lambda statement: resources(statement)[0].update(digest="0" * 63), "SHA-256"),
        (lambda statement: resources(statement)[0].pop("name"), "'name'"),
    ],
)
def test_a_statement_of_another_kind_is_refused_though_its_signature_is_good(
    signed: Path, edit: Callable[[dict[str, Any]], object], reason: str
) -> None:
    sign_statement(signed, edit)
    check_refusal(signed, "me.pub", reason)


def test_a_file_that_is_no_public_key_is_wrong_usage(signed: Path) -> None:
    other = ec.generate_private_key(ec.SECP256K1()).public_key()
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    signed.with_name("curve.pub").write_bytes(other.public_bytes(*form))
    for name in ("me.pem", "m.tload", "none", "curve.pub"):
        assert run_command("verify", signed, "--public-key", signed.with_name(name)).returncode == 2, name


def test_the_interface_is_among_what_is_signed(signed: Path) -> None:
    names = {each["name"] for each in resources(statement_of(signed))}
    assert names == set(open_package(signed).members) - {"model.sig"}
    assert INTERFACE in names


def statement_of(signed: Path) -> dict[str, Any]:
    envelope = json.loads(bytes(open_package(signed).read("model.sig")))["dsseEnvelope"]
    statement: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))
    return statement
