"""A client for servers that speak the LLM Engine dialect, with the published `llmengine`'s API.

    from paddock.clients.llm_engine import Completion, Model, set_base_path

    set_base_path("http://127.0.0.1:8800/llm-engine/")
    Model.create(name="pony", model="paddock/foal", min_workers=1)
    print(Completion.create(model="pony", prompt="A horse eats").output.text)

Attributes:
    api_key: sent with each request, as user name of HTTP Basic and as `x-api-key`; while it is None, the
        environment's SCALE_API_KEY at the time of the call, or `root`.
    base_url: where the server is; while it is None, LLM_ENGINE_BASE_PATH, or Scale's own platform.
"""

from __future__ import annotations

from paddock import __version__
from paddock.clients.llm_engine import api_engine, data_types, errors
from paddock.clients.llm_engine.api_engine import get_api_key, get_base_path, set_api_key, set_base_path
from paddock.clients.llm_engine.completion import Completion
from paddock.clients.llm_engine.data_types import *  # noqa: F403
from paddock.clients.llm_engine.file import File
from paddock.clients.llm_engine.fine_tuning import FineTune
from paddock.clients.llm_engine.model import Model

api_key: str | None = None
base_url: str | None = None

__all__ = [
    "Completion",
    "File",
    "FineTune",
    "Model",
    "__version__",
    "api_engine",
    "api_key",
    "base_url",
    "data_types",
    "errors",
    "get_api_key",
    "get_base_path",
    "set_api_key",
    "set_base_path",
]
__all__ += data_types.__all__
