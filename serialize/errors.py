"""Every error that transload raises on purpose, one class for each exit status.

The classes live at the bottom of the import order so that each stage can raise them. Fields that a program
may want are attributes; `str(error)` is the one place where they become text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


class TransloadError(Exception):
    """What happened, where, and what to do next.

    Args:
        what: One sentence that says what happened.
        where: The place, as near as it is known (member, node, source line).
        hint: What the user can do next.
    """

    exit_status: ClassVar[int] = 5

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        lines.extend(f"  {line}" for line in self.details())
        if self.hint:
            lines.append(f"  next: {self.hint}")
        return "\n".join(lines)

    def details(self) -> list[str]:
        """Further lines for the message, made from the structured fields of a subclass."""
        return []


class MismatchError(TransloadError):
    """Source and package, or package and vectors, do not give the same outputs.

    `report` holds the rows of the comparison, one line of text each.
    """

    exit_status = 1

    def __init__(self, what: str, *, report: tuple[str, ...] = (), where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.report = tuple(report)

    def details(self) -> list[str]:
        return list(self.report)


class UsageError(TransloadError):
    """The caller asked for something that makes no sense: a wrong name, dtype, rank, option or path."""

    exit_status = 2


@dataclass(frozen=True)
class UnsupportedOperation:
    """One operation of the source that cannot be converted.

    `name` is the framework's word for it (`aten::foo`, `tf.Bar`), `location` the node and source line.
    """

    name: str
    location: str = ""
    reason: str = ""


class UnsupportedError(TransloadError):
    """The source uses something that cannot be converted; `operations` lists every such thing at once."""

    exit_status = 3

    def __init__(
        self,
        what: str,
        *,
        operations: tuple[UnsupportedOperation, ...] = (),
        where: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.operations = tuple(UnsupportedOperation(**op) if isinstance(op, dict) else op for op in operations)

    def details(self) -> list[str]:
        return [
            " ".join(
                part for part in (op.name, op.location and f"at {op.location}", op.reason and f"({op.reason})") if part
            )
            for op in self.operations
        ]


class PackageError(TransloadError):
    """A package is damaged or breaks a rule of the format; `member` and `rule` say which.

    `rule` is the short name under which docs/format.md states the rule.
    """

    exit_status = 4

    def __init__(self, what: str, *, member: str = "", rule: str = "", where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.member = member
        self.rule = rule

    def details(self) -> list[str]:
        return [f"{label}: {value}" for label, value in (("member", self.member), ("rule", self.rule)) if value]


class SourceError(TransloadError):
    """A source file is damaged, or could run code and was not declared as trusted."""

    exit_status = 4


class ExecutionError(TransloadError):
    """A model that loaded failed while it ran, or a session could not be created for it."""

    exit_status = 5


class WorkerError(TransloadError):
    """The worker process crashed or ran out of its limits; `stage` is where the conversion stood."""

    exit_status = 6

    def __init__(self, what: str, *, stage: str = "", where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.stage = stage

    def details(self) -> list[str]:
        return [f"stage: {self.stage}"] if self.stage else []


ERROR_CLASSES: dict[str, type[TransloadError]] = {
    cls.__name__: cls
    for cls in (
        MismatchError,
        UsageError,
        UnsupportedError,
        PackageError,
        SourceError,
        ExecutionError,
        WorkerError,
    )
}
"""The concrete error classes by name, for carrying an error across a process border."""


def error_fields(error: TransloadError) -> dict[str, Any]:
    """The keyword arguments (and `what`) from which an equal error can be built again."""
    return dict(vars(error))
