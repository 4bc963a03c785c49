"""Stored files, as Paddock keeps them; the dialects' views are made from it."""

# No `from __future__ import annotations` here: pydantic would have to evaluate each one at import.
from pydantic import BaseModel, ConfigDict, Field

LONGEST_NAME = 1000


class File(BaseModel):
    """Bytes under a name. Names are data: several files may bear the same."""

    model_config = ConfigDict(defer_build=True)

    id: str
    project: str
    filename: str
    purpose: str = Field(description="What it is for, in OpenAI's words.")
    bytes: int
    characters: int | None = Field(description="Its length as text; null if it is not UTF-8.")
    sha256: str
    created_at: float = Field(description="Seconds since 1970.")
    expires_at: float | None = Field(description="When it is removed; null keeps it.")
    blob: str = Field(exclude=True, description="The key of its bytes.")
