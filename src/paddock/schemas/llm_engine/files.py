"""Files of the LLM Engine dialect: upload, get, list, content and delete.

The contract is the LLM Engine reference, in both of its ages, and the published client (scale-llm-engine
0.0.0b45). Sizes are in characters: a file that is not UTF-8 text has none here.
"""

# No `from __future__ import annotations` here: pydantic would have to evaluate each one at import.
from pydantic import Field

from paddock.schemas.llm_engine.core import Wire

_ID = "ID of the requested file."


class UploadFileResponse(Wire):
    """The answer to `POST v1/files`, whose body is a form with one part named `file`."""

    id: str = Field(description="ID of the uploaded file.")


class GetFileResponse(Wire):
    """The answer to `GET v1/files/{id}`."""

    id: str = Field(description=_ID)
    filename: str = Field(description="File name.")
    size: int = Field(description="Length of the file, in characters.")


class GetFileContentResponse(Wire):
    """The answer to `GET v1/files/{id}/content`."""

    id: str = Field(description=_ID)
    content: str = Field(description="File content.")


class ListFilesResponse(Wire):
    """The answer to `GET v1/files`."""

    files: list[GetFileResponse] = Field(description="List of file IDs, names, and sizes.")


class DeleteFileResponse(Wire):
    """The answer to `DELETE v1/files/{id}`."""

    deleted: bool = Field(description="Whether deletion was successful.")
