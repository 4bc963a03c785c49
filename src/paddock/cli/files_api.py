"""Files in OpenAI's API at `/v1/files`, as far as the commands need them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO
from urllib.parse import quote

from paddock.cli.connection import connect, object_with
from paddock.cli.output import printable, remark
from paddock.clients.transport import Call, Upload
from paddock.errors import PaddockError
from paddock.main.progress import Progress

JSON = dict[str, Any]
PAGE = 1000


class FilesApi:
    """Answers are files as OpenAI has them: https://platform.openai.com/docs/api-reference/files.

    Raises (all methods):
        NotFound: there is no such file.
        PaddockError: the request failed; the message is a line for a person.
    """

    def __init__(self, base_url: str | None, api_key: str | None) -> None:
        self._transport = connect(base_url, api_key, "/v1").transport

    def all(self, purpose: str | None) -> Iterator[JSON]:
        """Every file, or every one for a purpose, the newest first, asked for as far as it is read."""
        after: str | None = None
        while True:
            query = {"limit": str(PAGE), "order": "desc"}
            query.update({name: value for name, value in (("purpose", purpose), ("after", after)) if value})
            page = self._get("files", "data", query)
            yield from page["data"]
            if not page.get("has_more") or not page["data"]:
                return
            after = str(page["data"][-1]["id"])

    def get(self, identity: str) -> JSON:
        return self._get(_path(identity), "id")

    def delete(self, identity: str) -> JSON:
        return self._transport.request(Call("DELETE", _path(identity), object_with("id")))

    def upload(self, file: BinaryIO, filename: str, purpose: str) -> JSON:
        """Sends the file from where it stands, a piece at a time, and shows how far it is."""
        with Progress(f"Uploading {printable(filename)}", remark) as progress:
            counted = _Counted(file, progress)
            form = Upload("file", counted, filename, {"purpose": purpose})
            return self._transport.request(Call("POST", "files", object_with("id"), upload=form))

    def download(self, identity: str, output: BinaryIO, total: int | None = None) -> None:
        """Writes the file's bytes as they come.

        Args:
            total: the file's size in bytes, to show how far it is; None shows nothing.
        """
        call: Call[bytes] = Call("GET", f"{_path(identity)}/content", _bytes, repeatable=True)
        done = 0
        with Progress(f"Downloading {printable(identity)}", remark) as progress:
            for piece in self._transport.download(call):
                output.write(piece)
                done += len(piece)
                if total is not None:
                    progress(done, total)

    def _get(self, path: str, field: str, query: dict[str, str] | None = None) -> JSON:
        return self._transport.request(Call("GET", path, object_with(field), params=query, repeatable=True))


class _Counted:
    """A file that tells how far it was read."""

    def __init__(self, file: BinaryIO, moved: Callable[[int, int], None]) -> None:
        self._file = file
        self._moved = moved
        self._total = 0

    def read(self, size: int) -> bytes:
        piece = self._file.read(size)
        if piece and self._total:
            self._moved(self._file.tell(), self._total)
        return piece

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        at = self._file.seek(offset, whence)
        self._total = max(self._total, at)
        return at


def _path(identity: str) -> str:
    if not identity.strip("/. "):
        raise PaddockError("the id of a file must not be empty")
    return f"files/{quote(identity, safe='')}"


def _bytes(piece: Any) -> bytes:
    return bytes(piece)
