"""The facts about a model that stand first in its GGUF file. Reads no weights and needs no numpy."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from paddock.errors import StartupError

MAGIC = b"GGUF"
STRING, ARRAY = 8, 9
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
LONGEST_STRING = 64 * 1024 * 1024
SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")

Value = str | int | float | bool


@dataclass(frozen=True)
class Header:
    """`context_length` is what the model was made for; `cache_bytes` one token's attention cache, in F16;
    `size` the bytes of the file, all its parts included.

    `embeds`: it was made for embeddings and generates no text. `parameters` is 0, and a text empty, where the
    file does not say.
    """

    architecture: str
    context_length: int
    cache_bytes: int
    size: int
    embeds: bool
    parameters: int = 0
    title: str = ""
    organization: str = ""
    description: str = ""


def read_header(path: Path) -> Header:
    """Reads up to the vocabulary, before which writers put the architecture's numbers.

    Raises:
        StartupError: not a GGUF file, or cut short.
    """
    try:
        with path.open("rb") as stream:
            values = _read_values(stream, path)
        size = sum(file.stat().st_size for file in shard_files(path))
    except OSError as error:
        raise StartupError(f"cannot read {path}: {error.strerror}") from error
    except (struct.error, ValueError) as error:
        raise StartupError(f"{path} is not a complete GGUF file: {error}") from error
    architecture = str(values.get("general.architecture", ""))

    def number(name: str, otherwise: int) -> int:
        value = values.get(f"{architecture}.{name}")
        return int(value) if isinstance(value, int | float) else otherwise

    def text(name: str) -> str:
        return str(values.get(f"general.{name}", ""))

    heads, hidden = number("attention.head_count", 1), number("embedding_length", 4096)
    kv_heads = number("attention.head_count_kv", heads)
    head_dim = number("attention.key_length", hidden // max(heads, 1))
    width = kv_heads * (head_dim + number("attention.value_length", head_dim))
    return Header(
        architecture=architecture,
        context_length=number("context_length", 4096),
        cache_bytes=number("block_count", 32) * width * 2,
        size=size,
        embeds=number("pooling_type", 0) != 0,
        parameters=int(text("parameter_count") or 0),
        title=text("name"),
        organization=text("organization") or text("author"),
        description=text("description"),
    )


def shard_files(path: Path) -> list[Path]:
    """The file, or all of its parts if it is the first of several (`x-00001-of-00003.gguf`).

    Raises:
        StartupError: a part is missing.
    """
    match = SHARD.search(path.name)
    if not match:
        return [path]
    stem, count = path.name[: match.start()], int(match[2])
    files = [path.with_name(f"{stem}-{part:05d}-of-{match[2]}.gguf") for part in range(1, count + 1)]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise StartupError(f"{path} is incomplete: {missing[0]} is missing ({len(missing)} of {count} parts)")
    return files


def _read_values(stream: BinaryIO, path: Path) -> dict[str, Value]:
    if stream.read(4) != MAGIC:
        raise StartupError(f"{path} is not a GGUF file")
    version, _, count = _unpack(stream, "<IQQ")
    if version not in (2, 3):
        raise StartupError(f"{path} has GGUF version {version}; only 2 and 3 (little-endian) are known")
    values: dict[str, Value] = {}
    for _ in range(count):
        key = _string(stream)
        kind = _unpack(stream, "<I")[0]
        if key.startswith("tokenizer."):
            break
        value = _value(stream, kind)
        if value is not None:
            values[key] = value
    return values


def _value(stream: BinaryIO, kind: int) -> Value | None:
    """None for an array, which is passed over: those before the vocabulary differ from layer to layer."""
    if kind == STRING:
        return _string(stream)
    if kind in NUMBERS:
        value: Value = _unpack(stream, "<" + NUMBERS[kind])[0]
        return value
    if kind != ARRAY:
        raise ValueError(f"value type {kind} is not known")
    inner, length = _unpack(stream, "<IQ")
    if inner in NUMBERS:
        stream.seek(struct.calcsize(NUMBERS[inner]) * length, 1)
    else:
        for _ in range(length):
            _value(stream, inner)
    return None


def _string(stream: BinaryIO) -> str:
    length = _unpack(stream, "<Q")[0]
    if length > LONGEST_STRING:
        raise ValueError(f"a string of {length} bytes")
    return stream.read(length).decode("utf-8", "replace")


def _unpack(stream: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(form, stream.read(struct.calcsize(form)))
