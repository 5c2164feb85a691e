"""Which names a member of a package may have: the same file on every system, and never outside the package."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable

from transload.serialize.errors import PackageError

MAX_NAME_BYTES = 1024
MAX_PARTS = 64
MAX_PART_BYTES = 255
"""What Linux, macOS and Windows allow for one file or folder."""

_DEVICES = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³])(\..*)?", re.IGNORECASE)
"""Names that mean a device on Windows, in any folder and with any suffix."""


def check_name(name: str) -> None:
    """Refuse a name that is not a plain, relative, `/`-separated, NFC-normalized path to a file.

    Raises:
        PackageError: with the rule `name`.
    """
    if problem := _problem(name):
        raise PackageError(f"The member name {name!r} {problem}.", member=name, rule="name")


def _problem(name: str) -> str:
    if not name or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        return f"is empty or longer than {MAX_NAME_BYTES} bytes"
    if any(character in '\\:*?"<>|' for character in name):
        return "holds a character that is not a plain name's on every system"
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn") for character in name):
        return "holds a control, format or unassigned character"
    if unicodedata.normalize("NFC", name) != name:
        return "is not normalized (NFC)"
    if name.count("/") >= MAX_PARTS:
        return f"has more than {MAX_PARTS} parts"
    for part in name.split("/"):
        if part in ("", ".", ".."):
            return "is not relative, or has an empty, '.' or '..' part"
        if part != part.strip(" ") or part.endswith("."):
            return "has a part that begins or ends with a space, or ends with a dot"
        if len(part.encode()) > MAX_PART_BYTES:
            return f"has a part longer than {MAX_PART_BYTES} bytes"
        if _DEVICES.fullmatch(part):
            return "has a part that is a device on Windows"
    return ""


def check_names(names: Iterable[str]) -> None:
    """Refuse a set of names that is not sorted, not unique, or not unique on a file system that ignores case.

    Raises:
        PackageError: with the rule `sorted`, `unique-names` or `name-prefix`.
    """
    previous: bytes | None = None
    folded: dict[str, str] = {}
    for name in names:
        encoded = name.encode()
        if previous is not None and encoded == previous:
            raise PackageError("A member stands twice.", member=name, rule="unique-names")
        if previous is not None and encoded < previous:
            raise PackageError("Members are not sorted by name.", member=name, rule="sorted")
        previous = encoded
        twin = folded.setdefault(_fold(name), name)
        if twin != name:
            raise PackageError(
                f"The names {twin!r} and {name!r} differ in case only.", member=name, rule="unique-names"
            )
    # With the separator before all else, a name stands right before those below it. No name holds a zero character.
    keys = sorted((key.replace("/", "\0"), name) for key, name in folded.items())
    for (key, file), (following, name) in itertools.pairwise(keys):
        if following.startswith(f"{key}\0"):
            raise PackageError(f"{file!r} is a file and a folder.", member=name, rule="name-prefix")


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())
