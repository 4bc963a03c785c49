"""Fine-tunes: models that learn from a file of prompts and responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paddock.clients.llm_engine.api_engine import connect, fields, segment
from paddock.clients.llm_engine.data_types import (
    CancelFineTuneResponse,
    CreateFineTuneRequest,
    CreateFineTuneResponse,
    GetFineTuneEventsResponse,
    GetFineTuneResponse,
    ListFineTunesResponse,
)
from paddock.clients.transport import Call

DEFAULT_TIMEOUT = 60
_PATH = "v1/llm/fine-tunes"


class FineTune:
    """Jobs that train a model further, each of which ends with a model of its own.

    Every method takes `request_headers`, which are sent beside this client's own or in their place, and
    `timeout` in seconds, and raises the errors of `paddock.clients.llm_engine.errors`.
    """

    @classmethod
    def create(
        cls,
        model: str,
        training_file: str,
        validation_file: str | None = None,
        hyperparameters: dict[str, Any] | None = None,
        wandb_config: dict[str, Any] | None = None,
        suffix: str | None = None,
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> CreateFineTuneResponse:
        """Start a fine-tune; `get` says when it is done and what its model is called.

        Args:
            model: the base model to train from.
            training_file: a CSV file with the columns `prompt` and `response`: the ID of an uploaded file,
                or an http:// or https:// URL.
            validation_file: another such file, to measure by; without one, a tenth of the training rows.
            hyperparameters: how to learn, which the server checks: `lr`, `warmup_ratio`, `epochs`,
                `weight_decay`, `peft_config` (what PEFT's `LoraConfig` takes), and what it knows more.
            wandb_config: where Weights & Biases gets the metrics: `api_key`, and what `wandb.init` takes.
            suffix: a part of the new model's name, of 1 to 28 letters, digits and hyphens.
        """
        given = {
            "model": model,
            "training_file": training_file,
            "validation_file": validation_file,
            "hyperparameters": hyperparameters,
            "wandb_config": wandb_config,
            "suffix": suffix,
        }
        body = fields(CreateFineTuneRequest, given)
        parse = CreateFineTuneResponse.model_validate
        # Sent again, one that had arrived would train twice.
        return connect(timeout).request(Call("POST", _PATH, parse, body=body, headers=request_headers))

    @classmethod
    def get(
        cls,
        fine_tune_id: str,
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> GetFineTuneResponse:
        """A fine-tune as it is now: its status, and what its model is called."""
        parse = GetFineTuneResponse.model_validate
        call = Call("GET", _path(fine_tune_id), parse, headers=request_headers, repeatable=True)
        return connect(timeout).request(call)

    @classmethod
    def list(
        cls,
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> ListFineTunesResponse:
        """All fine-tunes, as `get` has each."""
        parse = ListFineTunesResponse.model_validate
        call = Call("GET", _PATH, parse, headers=request_headers, repeatable=True)
        return connect(timeout).request(call)

    @classmethod
    def cancel(
        cls,
        fine_tune_id: str,
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> CancelFineTuneResponse:
        """Cancel a fine-tune. `success` is false if it was over already."""
        parse = CancelFineTuneResponse.model_validate
        # Sent again, one that had worked would be answered by "it is over already".
        call = Call("PUT", f"{_path(fine_tune_id)}/cancel", parse, headers=request_headers)
        return connect(timeout).request(call)

    @classmethod
    def get_events(
        cls,
        fine_tune_id: str,
        request_headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> GetFineTuneEventsResponse:
        """All that happened to a fine-tune so far, losses while it trains among them."""
        parse = GetFineTuneEventsResponse.model_validate
        path = f"{_path(fine_tune_id)}/events"
        return connect(timeout).request(Call("GET", path, parse, headers=request_headers, repeatable=True))


def _path(fine_tune_id: Any) -> str:
    return f"{_PATH}/{segment('fine_tune_id', fine_tune_id)}"
