"""Files that hold one protobuf message, binary or as text."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from google.protobuf import text_format
from google.protobuf.message import DecodeError, Message

from transload.serialize.errors import SourceError

AnyMessage = TypeVar("AnyMessage", bound=Message)


def parse_proto(path: Path, message: AnyMessage) -> AnyMessage:
    """Fill an empty message with what a file holds, and give it back.

    Raises:
        SourceError: the file is neither form of such a message.
    """
    data = path.read_bytes()
    try:
        message.ParseFromString(data)
    except DecodeError:
        try:
            text_format.Parse(data.decode(), message)
        except (text_format.ParseError, UnicodeDecodeError) as error:
            raise SourceError(f"{path.name} is not a readable {message.DESCRIPTOR.name}: {error}") from error
    return message
