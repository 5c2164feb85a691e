"""Signed packages: good for the signer's key only, and any change fails with the name of what changed."""

from __future__ import annotations

import datetime
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from packages import Members, edit_json, rebuild

from transload.cli import main
from transload.serialize import open_package, pack_folder, unpack_package
from transload.serialize.errors import PackageError, UsageError
from transload.serialize.signature import (
    Identity,
    Key,
    TrustedFile,
    TrustedIdentity,
    _choose_signer,
    _choose_verifier,
    check_signature,
    sign_package,
)

INTERFACE = "forward/portable/interface.json"
PRIVATE = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
PUBLIC = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def write_key(folder: Path, name: str, curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    (folder / f"{name}.pem").write_bytes(key.private_bytes(*PRIVATE))
    (folder / f"{name}.pub").write_bytes(key.public_key().public_bytes(*PUBLIC))
    return key


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the keys of two people, `me` and `other`."""
    folder = tmp_path_factory.mktemp("keys")
    write_key(folder, "me")
    write_key(folder, "other")
    return folder


@pytest.fixture
def unsigned(package_bytes: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "m.tload"
    path.write_bytes(package_bytes)
    return path


@pytest.fixture
def signed(unsigned: Path, keys: Path) -> Path:
    return sign_package(unsigned, Key(keys / "me.pem"))


def check(path: Path, public_key: Path, signature: Path | None = None) -> None:
    check_signature(open_package(path, integrity="sha256"), TrustedFile(public_key), signature)


def refusal(path: Path, public_key: Path, signature: Path | None = None) -> str:
    with pytest.raises(PackageError) as caught:
        check(path, public_key, signature)
    assert (caught.value.rule, caught.value.exit_status) == ("signature", 4)
    return str(caught.value)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: str(curve.name))
def test_a_signed_package_is_the_signer_s(unsigned: Path, tmp_path: Path, curve: ec.EllipticCurve) -> None:
    write_key(tmp_path, "me", curve)
    check(sign_package(unsigned, Key(tmp_path / "me.pem")), tmp_path / "me.pub")


def test_signing_changes_nothing_but_adds_one_member(signed: Path, package_bytes: bytes, tmp_path: Path) -> None:
    (tmp_path / "before.tload").write_bytes(package_bytes)
    before, after = open_package(tmp_path / "before.tload"), open_package(signed)
    assert set(after.members) == set(before.members) | {"model.sig"}
    assert all(after.read(name) == before.read(name) for name in before.members)
    assert after.digest == before.digest


def test_a_package_is_signed_anew_in_place_of_the_old_signature(signed: Path, keys: Path) -> None:
    sign_package(signed, Key(keys / "other.pem"))
    check(signed, keys / "other.pub")
    assert "Key mismatch" in refusal(signed, keys / "me.pub")


def test_a_signature_beside_leaves_the_package_as_it_was(unsigned: Path, package_bytes: bytes, keys: Path) -> None:
    made = sign_package(unsigned, Key(keys / "me.pem"), beside=True)
    assert (made.name, unsigned.read_bytes()) == ("m.tload.sig", package_bytes)
    check(unsigned, keys / "me.pub")
    moved = made.rename(made.with_name("elsewhere"))
    assert "not signed" in refusal(unsigned, keys / "me.pub")
    check(unsigned, keys / "me.pub", moved)


def test_another_s_key_is_refused(signed: Path, keys: Path) -> None:
    assert "Key mismatch" in refusal(signed, keys / "other.pub")


def test_an_unsigned_package_is_refused(unsigned: Path, keys: Path) -> None:
    assert "not signed" in refusal(unsigned, keys / "me.pub")


def widen(interface: dict[str, Any]) -> None:
    interface["tolerances"]["y"]["atol"] = 1e9


def add_member(members: Members) -> None:
    members["forward/portable/labels.txt"] = b"cat\ndog\n"


def swap_vectors(members: Members) -> None:
    name = "forward/portable/test_data_set_0/output_0.pb"
    data = members[name]
    members[name] = data[:-1] + bytes([data[-1] ^ 1])


def remove_vectors(members: Members) -> None:
    for name in [name for name in members if "test_data_set" in name]:
        del members[name]


def spoil_weights(members: Members) -> None:
    data = members["forward/portable/model.onnx.data"]
    members["forward/portable/model.onnx.data"] = bytes([data[0] ^ 1]) + data[1:]


CHANGES: dict[str, tuple[Callable[[Members], None], str]] = {
    "swapped interface": (edit_json(INTERFACE, widen), f"changed: {INTERFACE}, manifest.json"),
    "weights": (spoil_weights, "changed: forward/portable/model.onnx.data, manifest.json"),
    "vectors": (swap_vectors, "changed: forward/portable/test_data_set_0/output_0.pb, manifest.json"),
    "another member": (add_member, "changed: manifest.json; added: forward/portable/labels.txt"),
    "member removed": (remove_vectors, "changed: manifest.json; missing: "),
    "manifest": (
        edit_json("manifest.json", lambda manifest: manifest.update(package_name="better")),
        "changed: manifest.json",
    ),
}


@pytest.mark.parametrize(("edit", "changes"), CHANGES.values(), ids=CHANGES.keys())
def test_what_was_changed_after_signing_is_named_though_all_digests_were_made_anew(
    signed: Path, keys: Path, edit: Callable[[Members], None], changes: str
) -> None:
    signed.write_bytes(rebuild(signed.read_bytes(), edit))
    assert changes in refusal(signed, keys / "me.pub")


def test_a_tampered_signature_is_refused(signed: Path, keys: Path) -> None:
    def edit(members: Members) -> None:
        bundle = json.loads(members["model.sig"])
        text = bundle["dsseEnvelope"]["signatures"][0]["sig"]
        bundle["dsseEnvelope"]["signatures"][0]["sig"] = text[:20] + ("A" if text[20] != "A" else "B") + text[21:]
        members["model.sig"] = json.dumps(bundle).encode()

    signed.write_bytes(rebuild(signed.read_bytes(), edit))
    assert "InvalidSignature" in refusal(signed, keys / "me.pub")


@pytest.mark.parametrize("content", [b"", b"{}", b"not JSON", b"\xff" * 100])
def test_a_signature_that_is_none_is_refused(signed: Path, keys: Path, content: bytes) -> None:
    signed.write_bytes(rebuild(signed.read_bytes(), lambda members: members.update({"model.sig": content})))
    assert "not good" in refusal(signed, keys / "me.pub")


def test_a_signature_of_too_many_bytes_is_refused_unread(signed: Path) -> None:
    signed.write_bytes(
        rebuild(signed.read_bytes(), lambda members: members.update({"model.sig": bytes((2 << 20) + 1)}))
    )
    with pytest.raises(PackageError) as caught:
        open_package(signed)
    assert (caught.value.rule, caught.value.member) == ("json-size", "model.sig")


def test_the_library_s_own_command_finds_the_unpacked_package_good(signed: Path, keys: Path, tmp_path: Path) -> None:
    folder = unpack_package(signed, tmp_path / "unpacked")
    command = [
        *(sys.executable, "-m", "model_signing", "verify", "key", str(folder)),
        *("--signature", str(folder / "model.sig"), "--public_key", str(keys / "me.pub")),
    ]
    assert subprocess.run(command, capture_output=True).returncode == 0
    (folder / INTERFACE).write_text("{}")
    assert subprocess.run(command, capture_output=True).returncode != 0


def test_packing_a_signed_folder_keeps_the_signature(signed: Path, keys: Path, tmp_path: Path) -> None:
    folder = unpack_package(signed, tmp_path / "unpacked")
    again = pack_folder(folder, tmp_path / "again.tload")
    assert again.read_bytes() == signed.read_bytes()
    check(again, keys / "me.pub")


def make_certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, *, root: bool
) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(not root, False, False, False, False, root, root, False, False),
            critical=True,
        )
    )
    if not root:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_a_certificate_is_good_for_those_who_trust_its_root(unsigned: Path, tmp_path: Path) -> None:
    root, me, stranger = (write_key(tmp_path, name) for name in ("root", "me", "stranger"))
    (tmp_path / "root.crt").write_bytes(make_certificate("root", root, "root", root, root=True))
    (tmp_path / "me.crt").write_bytes(make_certificate("me", me, "root", root, root=False))
    (tmp_path / "stranger.crt").write_bytes(make_certificate("stranger", stranger, "stranger", stranger, root=True))
    signed = sign_package(unsigned, Key(tmp_path / "me.pem", tmp_path / "me.crt", (tmp_path / "root.crt",)))
    check(signed, tmp_path / "root.crt")
    assert "not good" in refusal(signed, tmp_path / "stranger.crt")


def test_a_key_that_cannot_be_read_is_wrong_usage(unsigned: Path, signed: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        sign_package(unsigned, Key(tmp_path / "none.pem"))
    (tmp_path / "text").write_text("not a key")
    with pytest.raises(UsageError, match="cannot be used"):
        check(signed, tmp_path / "text")


def test_without_the_library_the_extra_is_named(unsigned: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    with pytest.raises(UsageError, match=r"transload\[sign\]"):
        sign_package(unsigned, Key(keys / "me.pem"))


def test_the_command_line_signs_and_verifies(unsigned: Path, keys: Path) -> None:
    def run(*arguments: object) -> Any:
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    assert run("sign", unsigned).exit_code == 2
    assert run("verify", unsigned, "--signed-by", keys / "me.pub").exit_code == 4
    assert run("sign", unsigned, "--private-key", keys / "me.pem").exit_code == 0
    good = run("verify", unsigned, "--signed-by", keys / "me.pub")
    assert good.exit_code == 0
    assert "signed by" in good.stderr
    bad = run("verify", unsigned, "--signed-by", keys / "other.pub", "--json")
    assert bad.exit_code == 4
    assert json.loads(bad.stdout)["error"]["rule"] == "signature"


def test_what_is_used_of_the_library_s_private_parts_is_there() -> None:
    digest = importlib.import_module("model_signing._hashing.hashing").Digest("sha256", b"\1")
    assert (digest.algorithm, digest.digest_hex) == ("sha256", "01")


def test_an_identity_is_asked_for_as_the_library_takes_it() -> None:
    """What can be tested of Sigstore without its servers: our calls are those that the library has."""
    verifying = create_autospec(importlib.import_module("model_signing.verifying").Config, instance=True)
    _choose_verifier(verifying, TrustedIdentity("me@example.org", "https://example.org"))
    verifying.use_sigstore_verifier.assert_called_once_with(
        identity="me@example.org", oidc_issuer="https://example.org"
    )
    signing = create_autospec(importlib.import_module("model_signing.signing").Config, instance=True)
    _choose_signer(signing, Identity("token"))
    signing.use_sigstore_signer.assert_called_once_with(identity_token="token")


def test_the_command_line_asks_for_the_identity(signed: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    # By its module's name the command itself would be found.
    module = sys.modules["transload.cli.verify"]
    monkeypatch.setattr(module, "check_signature", lambda package, trusted, file: asked.append(trusted))
    words = ["verify", str(signed), "--signed-by", "me@example.org", "--issuer", "https://example.org"]
    assert CliRunner().invoke(main, words).exit_code == 0
    assert asked == [TrustedIdentity("me@example.org", "https://example.org")]
