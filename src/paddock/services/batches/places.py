"""Where a batch's rows come from and its answers go to: checked when it is asked for, and again when used."""

from __future__ import annotations

import codecs
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from sqlalchemy.orm import Session

from paddock.errors import InvalidRequest, JobFailed, NotFound
from paddock.services import disk, files, objects, paths
from paddock.services.batches.spec import BatchSpec, InputKind, OutputKind
from paddock.services.paths import Named
from paddock.services.platform import Platform, in_thread

INPUT, OUTPUT = "input_data_path", "output_data_path"
LOOKED_AT = 2**20
"""Bytes of an input that are looked at when it is named; the rest when it is read."""


@dataclass(frozen=True)
class Source:
    """An input that is there.

    Attributes:
        kind, value: as `BatchSpec` has them.
        taken: what `JobRow.input` is.
    """

    kind: InputKind
    value: str
    taken: str


@dataclass(frozen=True)
class Target:
    """An output that can be written.

    Attributes:
        kind, value: as `BatchSpec` has them.
        taken: what `JobRow.output` is, the same for every spelling.
    """

    kind: OutputKind
    value: str
    taken: str


async def find_input(platform: Platform, project: str, text: str) -> Source:
    """
    Raises:
        InvalidRequest: `input_data_path` names nothing, or what is empty, too large, or not UTF-8 as far as
            it is looked at.
    """
    named = paths.parse(text, INPUT)
    if named.kind in ("id", "name"):
        return await _find_file(platform, project, named)
    known = paths.allowed(platform.settings)
    if named.kind == "s3":
        paths.check_address(named.value, known, INPUT)
        size, found = await objects.beginning(named.value, LOOKED_AT, INPUT)
        value, taken = named.value, named.value
    else:
        spot = await in_thread(lambda: paths.input_spot(named.value, known, INPUT))
        size, found = await in_thread(lambda: disk.beginning(spot, LOOKED_AT, INPUT))
        value, taken = spot.path, f"path:{spot.path}"
    _check(text, size, _is_text(found, whole=size <= len(found)), platform.settings.max_file)
    return Source("s3" if named.kind == "s3" else "path", value, taken)


async def find_output(platform: Platform, project: str, job_id: str, text: str) -> Target:
    """
    Raises:
        InvalidRequest: `output_data_path` names nothing that could be made: what exists (`output_exists`), or
            what cannot be written (`output_not_writable`).
    """
    named = paths.parse(text, OUTPUT)
    if named.kind == "id":
        raise InvalidRequest(
            f"{OUTPUT} must not be the id of a file, as {text} is: a new file gets an id of its own; give a"
            " name",
            param=OUTPUT,
        )
    if named.kind == "name":
        await platform.store.read(lambda session: check_name_free(session, project, named.value))
        return Target("name", named.value, f"name:{named.value}")
    known = paths.allowed(platform.settings)
    if named.kind == "s3":
        paths.check_address(named.value, known, OUTPUT)
        await objects.probe(named.value, OUTPUT)
        return Target("s3", named.value, named.value)
    spot = await in_thread(lambda: paths.output_spot(named.value, known, OUTPUT))
    await in_thread(lambda: disk.probe(spot, job_id, OUTPUT))
    return Target("path", spot.path, f"path:{spot.path}")


def check_still_so(session: Session, project: str, source: Source | None, target: Target) -> None:
    """For the transaction that makes the job: what stored files were found is so still.

    Raises:
        InvalidRequest: it is not.
    """
    if source is not None and source.kind == "file":
        try:
            files.find(session, project, source.value)
        except NotFound as error:
            raise InvalidRequest(f"{INPUT}: {error.message}", param=INPUT, code=error.code) from None
    if target.kind == "name":
        check_name_free(session, project, target.value)


def check_name_free(session: Session, project: str, name: str) -> None:
    """
    Raises:
        InvalidRequest: a stored file bears it.
    """
    if found := files.find_name(session, project, name):
        raise InvalidRequest(
            f"{OUTPUT}: the file {found[-1].id} is called {name!r} already; choose another name",
            param=OUTPUT,
            code="output_exists",
        )


async def open_input(
    platform: Platform, project: str, spec: BatchSpec, offset: int = 0
) -> AsyncGenerator[bytes, None]:
    """The bytes of an input from `offset` on, in pieces.

    Raises:
        InvalidRequest, NotFound: it is not there any more, or not allowed any more; with the first piece too.
        StorageFailed: where it lies cannot be reached.
    """
    if spec.input_kind == "blob":
        return platform.blobs.read(spec.input, offset)
    if spec.input_kind == "file":
        return files.content(platform, await files.get(platform, project, spec.input, expired=True), offset)
    known = paths.allowed(platform.settings)
    if spec.input_kind == "s3":
        paths.check_address(spec.input, known, INPUT)
        return objects.read(spec.input, offset, INPUT)
    spot = await in_thread(lambda: paths.input_spot(spec.input, known, INPUT))
    return disk.read(spot, offset, INPUT)


async def write_output(
    platform: Platform, job_id: str, spec: BatchSpec, pieces: AsyncIterator[bytes]
) -> None:
    """Writes an output of the kinds `path` and `s3`: whole or not at all, and over nothing that is there. May
    be done again after any crash.

    Raises:
        JobFailed: it can never be written.
        StorageFailed: where it goes is full, or cannot be reached.
    """
    known = paths.allowed(platform.settings)
    try:
        if spec.output_kind == "s3":
            paths.check_address(spec.output, known, OUTPUT)
            await objects.write(spec.output, pieces, OUTPUT)
            return
        spot = await in_thread(lambda: paths.output_spot(spec.output, known, OUTPUT))
    except InvalidRequest as error:
        raise JobFailed(error.message) from error
    await disk.write(spot, job_id, pieces)


async def discard(platform: Platform, job_id: str, spec: BatchSpec) -> None:
    """Removes what attempts at an output left that were cut off. Never raises for what is not there."""
    if spec.output_kind != "path":
        return
    known = paths.allowed(platform.settings)
    try:
        spot = await in_thread(lambda: paths.output_spot(spec.output, known, OUTPUT))
    except InvalidRequest:
        return
    await in_thread(lambda: disk.remove_left(spot, job_id))


async def _find_file(platform: Platform, project: str, named: Named) -> Source:
    """A stored file, by its id or as the newest of its name."""

    def work(session: Session) -> str:
        if named.kind == "id":
            return named.value
        if not (found := files.find_name(session, project, named.value)):
            raise InvalidRequest(
                f"{INPUT}: no stored file is called {named.value!r}; upload it first, or give a file's id",
                param=INPUT,
                code="file_not_found",
            )
        return found[-1].id

    try:
        file = await files.get(platform, project, await platform.store.read(work))
    except NotFound as error:
        raise InvalidRequest(f"{INPUT}: {error.message}", param=INPUT, code=error.code) from None
    _check(file.id, file.bytes, file.characters is not None, platform.settings.max_file)
    return Source("file", file.id, f"file:{file.id}")


def _check(text: str, size: int, is_text: bool, most: int) -> None:
    wrong = ""
    if not size:
        wrong = "is empty"
    elif size > most:
        wrong = f"has {size} bytes, and at most {most} are read here"
    elif not is_text:
        wrong = "is not UTF-8"
    if wrong:
        raise InvalidRequest(f"{INPUT}: {text[:200]} {wrong}", param=INPUT)


def _is_text(beginning: bytes, *, whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(beginning, final=whole)
    except UnicodeDecodeError:
        return False
    return True
