"""Bodies of OpenAI's batch API, as its API reference and the `openai` package (2.x) have them."""

# No `from __future__ import annotations` here: pydantic would have to evaluate each one at import.
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

LEAST_EXPIRY, MOST_EXPIRY = 3600, 2592000

Key = Annotated[str, Field(max_length=64)]
Value = Annotated[str, Field(max_length=512)]


class _Wire(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="forbid", strict=True)


class OutputExpiresAfter(_Wire):
    """When the files with the answers and errors are removed."""

    anchor: Literal["created_at"] = Field(description="The time at which the files are made.")
    seconds: int = Field(ge=LEAST_EXPIRY, le=MOST_EXPIRY, description="From one hour to 30 days.")


class CreateBatch(_Wire):
    """Body of POST /batches."""

    input_file_id: str = Field(min_length=1, description="A stored file: JSON Lines, a request in each.")
    endpoint: Literal["/v1/chat/completions", "/v1/completions", "/v1/embeddings"] = Field(
        description="What every request of the file is for."
    )
    completion_window: str = Field(
        description="The time after which it is given up: `24h`; also other hours (`1h` to `336h`) or days"
        " (`1d` to `14d`)."
    )
    metadata: Annotated[dict[Key, Value], Field(max_length=16)] | None = Field(
        default=None, description="Up to 16 pairs of texts that are shown with it."
    )
    output_expires_after: OutputExpiresAfter | None = None
