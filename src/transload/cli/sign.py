"""`transload sign`: a package says who made it."""

from __future__ import annotations

from pathlib import Path

import click

from transload.cli.command import Command
from transload.serialize.errors import UsageError
from transload.serialize.signature import Identity, Key, sign_package


@click.command(cls=Command)
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--private-key", type=click.Path(path_type=Path), help="A key of curve P-256, P-384 or P-521, as PEM.")
@click.option("--certificate", type=click.Path(path_type=Path), help="The key's certificate, as PEM.")
@click.option(
    "--chain", multiple=True, type=click.Path(path_type=Path), help="A certificate above it, as PEM. Repeatable."
)
@click.option("--sigstore", is_flag=True, help="Sign with an identity through Sigstore; needs a network.")
@click.option("--identity-token", help="Sigstore: the token of the identity, instead of a browser.")
@click.option("--beside", is_flag=True, help="Leave the package as it is and write PACKAGE.sig.")
def sign(
    package: Path,
    private_key: Path | None,
    certificate: Path | None,
    chain: tuple[Path, ...],
    sigstore: bool,
    identity_token: str | None,
    beside: bool,
) -> None:
    """Sign a package by OpenSSF Model Signing 1.0: its manifest and every other member.

    The signature becomes a member of the package, or with --beside a file of its own. Needs the extra [sign].

    \b
    Example:
      transload sign tagger.tload --private-key me.pem
      transload verify tagger.tload --signed-by me.pub
    """
    if (private_key is None) is not sigstore:
        raise UsageError("Give either --private-key FILE or --sigstore.")
    signer = Identity(identity_token) if private_key is None else Key(private_key, certificate, chain)
    click.echo(sign_package(package, signer, beside=beside))
