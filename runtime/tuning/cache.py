"""The user's cache of tuned variants: one file for each, named after its key."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from transload.runtime.platform import cache_folder, is_own_file
from transload.runtime.tuning.entry import TUNING_NAME, TunedVariant, TuningRecord, read_entry, read_variant
from transload.runtime.tuning.key import TuningKey, make_key
from transload.serialize.errors import PackageError, UsageError
from transload.serialize.package_file import PackageFile

SUFFIX = ".tuned"
EMBEDDED = "tuned"
"""The name of an embedded variant, before a hyphen and the first digits of its key."""

logger = logging.getLogger("transload")


@dataclass(frozen=True)
class CacheEntry:
    """A file of the cache; `record` is None where it is damaged or not this user's."""

    path: Path
    size_bytes: int
    record: TuningRecord | None


def tuned_folder() -> Path:
    """Where entries lie: `transload/tuned` below the user's cache."""
    return cache_folder() / "transload" / "tuned"


def entry_path(key: TuningKey) -> Path:
    """Where the entry with this key lies."""
    return tuned_folder() / f"{key.digest}{SUFFIX}"


def find_tuned(package: PackageFile, component: str) -> TunedVariant | None:
    """The tuned variant that fits this component, host and runtime: the cache's, or one embedded in the package.

    Whatever is damaged, stale, another user's or for another host is passed over; the log's debug level says why.
    """
    key = make_key(package, component)
    if key is None:
        return None
    for found in (_read_cached(key), _read_embedded(package, component, key)):
        if found is not None and found.record.key == key:
            return found
    return None


def list_cache() -> tuple[CacheEntry, ...]:
    """Every entry, by name."""
    return tuple(_entries())


def clear_cache() -> tuple[CacheEntry, ...]:
    """Remove every entry; gives what was removed."""
    entries = list_cache()
    shutil.rmtree(tuned_folder(), ignore_errors=True)
    return entries


def embedded_name(key: TuningKey) -> str:
    """The name of the variant, and of its folder in the component's, that holds a tuned variant in a package."""
    return f"{EMBEDDED}-{key.digest[:16]}"


def _entries() -> Iterator[CacheEntry]:
    for path in sorted(tuned_folder().glob(f"*{SUFFIX}")):
        record = None
        try:
            record = read_entry(path).record if is_own_file(path) else None
        except (PackageError, UsageError) as error:
            logger.debug("%s: %s", path, error.what)
        yield CacheEntry(path, path.stat().st_size, record)


def _read_cached(key: TuningKey) -> TunedVariant | None:
    path = entry_path(key)
    if not path.exists():
        return None
    if not is_own_file(path):
        logger.debug("%s is not this user's own file.", path)
        return None
    try:
        return read_entry(path)
    except (PackageError, UsageError) as error:
        logger.debug("%s: %s", path, error.what)
        return None


def _read_embedded(package: PackageFile, component: str, key: TuningKey) -> TunedVariant | None:
    variant = package.manifest.components[component].variants.get(embedded_name(key))
    if variant is None:
        return None
    folder = f"{variant.variant_directory}/"
    try:
        return read_variant(package.archive, folder)
    except PackageError as error:
        logger.debug("%s%s: %s", folder, TUNING_NAME, error.what)
        return None
