"""Files on the server: upload, get, list, delete and download."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from paddock.clients import transport
from paddock.clients.llm_engine.api_engine import connect, segment
from paddock.clients.llm_engine.content import ContentReader
from paddock.clients.llm_engine.data_types import (
    DeleteFileResponse,
    GetFileContentResponse,
    GetFileResponse,
    ListFilesResponse,
    UploadFileResponse,
)
from paddock.clients.llm_engine.errors import UnknownError, ValidationError
from paddock.clients.transport import Call

DEFAULT_TIMEOUT = 60
_PATH = "v1/files"


class File:
    """The files that the server keeps: prompts for batches and what came of them, examples to learn from.

    Every method takes `request_headers`, which are sent beside this client's own or in their place, and
    `timeout`, the longest time in seconds in which nothing moves, and raises the errors of
    `paddock.clients.llm_engine.errors`.
    """

    @classmethod
    def upload(
        cls,
        file: IO[bytes] | IO[str],
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> UploadFileResponse:
        """Upload a file, of which no more than a piece is held at a time.

        Args:
            file: open for reading, as bytes or as text, which goes out as UTF-8. It is read from where it
                stands, and left open. The server calls it by the last part of `file.name`.

        Raises:
            OSError: it cannot be read.
            UnicodeDecodeError: it is not in the encoding that it was opened with.
        """
        if not callable(getattr(file, "read", None)):
            raise ValidationError(
                f"file must be an open file, such as open('prompts.json', 'rb'), not {file!r:.80}"
            )
        upload = transport.Upload("file", file)
        parse = UploadFileResponse.model_validate
        # Sent again, one that had arrived would be there twice.
        return connect(timeout).request(Call("POST", _PATH, parse, upload=upload, headers=request_headers))

    @classmethod
    def get(
        cls,
        file_id: str,
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> GetFileResponse:
        """A file's name, and its size in characters."""
        parse = GetFileResponse.model_validate
        call = Call("GET", _path(file_id), parse, headers=request_headers, repeatable=True)
        return connect(timeout).request(call)

    @classmethod
    def list(
        cls,
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> ListFilesResponse:
        """The IDs, names and sizes of all files."""
        parse = ListFilesResponse.model_validate
        call = Call("GET", _PATH, parse, headers=request_headers, repeatable=True)
        return connect(timeout).request(call)

    @classmethod
    def delete(
        cls,
        file_id: str,
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> DeleteFileResponse:
        """Delete a file."""
        parse = DeleteFileResponse.model_validate
        # Sent again, one that had worked would be answered by "there is no such file".
        return connect(timeout).request(Call("DELETE", _path(file_id), parse, headers=request_headers))

    @classmethod
    def download(
        cls,
        file_id: str,
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> GetFileContentResponse:
        """A file's content, as text and whole in memory; `download_to` is for large ones."""
        parse = GetFileContentResponse.model_validate
        call = Call("GET", f"{_path(file_id)}/content", parse, headers=request_headers, repeatable=True)
        return connect(timeout).request(call)

    @classmethod
    def download_to(
        cls,
        file_id: str,
        path: str | os.PathLike[str],
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> None:
        """Write a file's content to `path`, as UTF-8, with no more than a piece of it in memory.

        It takes the place of what is there, and only when it is whole. The published client has no such
        method.

        Raises:
            OSError: it cannot be written.
        """
        reader = ContentReader()
        call = Call("GET", f"{_path(file_id)}/content", reader.feed, headers=request_headers, repeatable=True)
        pieces = connect(timeout).download(call)
        target = Path(path)
        partial = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}")
        try:
            with partial.open("xb") as file:
                for piece in pieces:
                    file.write(piece)
            try:
                reader.finish()
            except ValueError as error:
                raise UnknownError(f"the answer for file {file_id!r} is not understood: {error}") from error
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        finally:
            pieces.close()


def _path(file_id: Any) -> str:
    return f"{_PATH}/{segment('file_id', file_id)}"
