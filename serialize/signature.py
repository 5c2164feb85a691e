"""Who made a package: a signature by OpenSSF Model Signing 1.0 over its members, inside the package or beside it.

The library `model-signing` signs and checks a list of files with their SHA-256. It is given a package's members, so
that its own command line finds the same signature good for an unpacked package. What is signed is manifest.json, and
every member that it lists; the signature itself is the one member that it does not list.
"""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from transload.serialize.archive_writer import Bytes, Content, Digest, write_archive
from transload.serialize.errors import PackageError, TransloadError, UsageError
from transload.serialize.layout import SIGNATURE_NAME
from transload.serialize.manifest import MANIFEST_NAME
from transload.serialize.package_file import PackageFile, open_package
from transload.serialize.platform import replace_file

SIGNATURE_SUFFIX = ".sig"
"""A signature beside `m.tload` is `m.tload.sig`."""


@dataclass(frozen=True)
class Key:
    """A private key of the curve P-256, P-384 or P-521, with its certificate and those above, if any. All are PEM."""

    private_key: Path
    certificate: Path | None = None
    chain: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Identity:
    """A person or workflow known to Sigstore; signing needs a network and, without `token`, a browser."""

    token: str | None = None


@dataclass(frozen=True)
class TrustedFile:
    """Whom to believe: a public key or a root certificate (PEM)."""

    path: Path


@dataclass(frozen=True)
class TrustedIdentity:
    """Whom to believe: a name that an issuer vouches for, such as an e-mail address, through Sigstore."""

    name: str
    issuer: str


def sign_package(path: Path, signer: Key | Identity, *, beside: bool = False) -> Path:
    """Sign a package; gives the file that holds the signature now: the package itself, or the one beside it.

    Raises:
        UsageError: the key cannot be read or does not fit, or a file cannot be written.
        PackageError: the package is damaged.
    """
    package = open_package(path, integrity="sha256")
    with tempfile.TemporaryDirectory(prefix="transload-") as scratch:
        made = Path(scratch) / SIGNATURE_NAME
        with _tell("The package cannot be signed", UsageError):
            config = _library().signing.Config().set_hashing_config(_Members(package))
            _choose_signer(config, signer).sign(path, made)
        signature = made.read_bytes()
    if beside:
        target = path.with_name(path.name + SIGNATURE_SUFFIX)
        with replace_file(target) as file:
            file.write(signature)
        return target
    _write_signed(package, signature)
    return path


def check_signature(
    package: PackageFile, trusted: TrustedFile | TrustedIdentity, signature: Path | None = None
) -> None:
    """Check that a package, every member of it, is what somebody who is trusted signed.

    Args:
        package: The package, opened with any integrity.
        trusted: Whose signature it has to be.
        signature: A signature's file; None takes the one inside the package, else the one beside it.

    Raises:
        PackageError: with the rule `signature`: there is none, it is another's, or something changed (all is named).
        UsageError: the key, the certificate or the signature's file cannot be read.
    """
    verifying = _library().verifying
    with tempfile.TemporaryDirectory(prefix="transload-") as scratch:
        stored = Path(scratch) / SIGNATURE_NAME
        stored.write_bytes(_read_signature(package, signature))
        with _tell("The key or certificate cannot be used", UsageError):
            config = _choose_verifier(verifying.Config(), trusted)
        with _tell("The signature is not good", PackageError):
            config.set_hashing_config(_Members(package)).verify(package.path, stored)


@dataclass(frozen=True)
class _Members:
    """What model-signing asks a `hashing.Config` for, answered from a package's members instead of a folder's files."""

    package: PackageFile

    def hash(self, model_path: Any, *, files_to_hash: Any = None) -> Any:
        """A `model_signing.manifest.Manifest` of the members as they are, read and hashed anew."""
        from model_signing import manifest

        # The class of digests that manifests are made of has no public home.
        from model_signing._hashing.hashing import Digest as SignedDigest

        serialization = manifest.SerializationType.from_args(
            {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": [SIGNATURE_NAME]}
        )
        items = [
            manifest.FileManifestItem(
                path=PurePosixPath(name),
                digest=SignedDigest("sha256", bytes.fromhex(self.package.archive.sha256(name))),
            )
            for name in self.package.members
            if name != SIGNATURE_NAME
        ]
        return manifest.Manifest(self.package.manifest.package_name, items, serialization)

    def add_ignored_paths(self, *, model_path: Any, paths: Any) -> None:
        """Nothing: which members count is not the signature's to say."""


def _library() -> Any:
    try:
        import model_signing
    except ModuleNotFoundError as error:
        raise UsageError(
            f"Signatures need {error.name}, which is not installed.", hint="pip install 'transload[sign]'"
        ) from error
    return model_signing


def _choose_signer(config: Any, signer: Key | Identity) -> Any:
    if isinstance(signer, Identity):
        return config.use_sigstore_signer(identity_token=signer.token)
    if signer.certificate is None:
        return config.use_elliptic_key_signer(private_key=signer.private_key)
    return config.use_certificate_signer(
        private_key=signer.private_key, signing_certificate=signer.certificate, certificate_chain=signer.chain
    )


def _choose_verifier(config: Any, trusted: TrustedFile | TrustedIdentity) -> Any:
    if isinstance(trusted, TrustedIdentity):
        return config.use_sigstore_verifier(identity=trusted.name, oidc_issuer=trusted.issuer)
    if b"-----BEGIN CERTIFICATE-----" in trusted.path.read_bytes():
        return config.use_certificate_verifier(certificate_chain=[trusted.path])
    return config.use_elliptic_key_verifier(public_key=trusted.path)


def _read_signature(package: PackageFile, given: Path | None) -> bytes:
    if given is None and SIGNATURE_NAME in package.members:
        return bytes(package.read(SIGNATURE_NAME))
    path = given or package.path.with_name(package.path.name + SIGNATURE_SUFFIX)
    if given is None and not path.exists():
        raise PackageError("The package is not signed.", rule="signature", where=str(package.path))
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.") from error


def _write_signed(package: PackageFile, signature: bytes) -> None:
    """The package once more, every byte of its other members as it was."""
    index = bytes(package.archive.view(MANIFEST_NAME))
    contents: dict[str, Content] = {
        name: Bytes(package.archive.view(name)) for name in package.members if name != MANIFEST_NAME
    }
    contents[SIGNATURE_NAME] = Bytes(signature)

    def make_index(digests: Mapping[str, Digest]) -> bytes:
        return index

    with replace_file(package.path) as file:
        write_archive(file, contents, MANIFEST_NAME, make_index)


@contextlib.contextmanager
def _tell(what: str, kind: Callable[..., Exception]) -> Iterator[None]:
    """Whatever the library raises (it has no exceptions of its own) as ours, and what it prints on stderr."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except TransloadError:
        raise
    except Exception as error:
        reason = _changes(str(error)) or str(error) or type(error).__name__
        if kind is PackageError:
            raise PackageError(f"{what}: {reason}", rule="signature") from error
        raise kind(f"{what}: {reason}") from error


def _changes(message: str) -> str:
    """What is changed, added and missing, out of the library's message, which holds all digests as well."""
    text = message.replace("\\'", "'")
    found = {
        "changed": re.findall(r"Hash mismatch for '(.+?)':", text),
        "added": re.findall(r"Extra files found in model '.*?': (.+?)[\"']", text),
        "missing": re.findall(r"Missing files in model '.*?': (.+?)[\"']", text),
    }
    return "; ".join(f"{word}: {', '.join(names)}" for word, names in found.items() if names)
