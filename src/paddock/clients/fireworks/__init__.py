"""A client for servers that speak the Fireworks dialect, with the published `fireworks.client`'s API.

    import paddock.clients.fireworks as fireworks

    fireworks.base_url = "http://127.0.0.1:8800/inference/v1"
    for piece in fireworks.ChatCompletion.create("foal", [{"role": "user", "content": "Hi"}], stream=True):
        print(piece.choices[0].delta.content or "", end="")

Attributes:
    api_key: sent with each request; at import the environment's FIREWORKS_API_KEY, or None. Without one,
        none is sent, and it is the server that says whether it wants one.
    base_url: where the server is; at import FIREWORKS_API_BASE, or Fireworks' own platform.
"""

from __future__ import annotations

from paddock import __version__
from paddock.clients.fireworks import api, error, log
from paddock.clients.fireworks.chat_completion import ChatCompletion
from paddock.clients.fireworks.completion import Completion
from paddock.clients.fireworks.log import set_console_log_level
from paddock.clients.fireworks.model import Model
from paddock.settings import fireworks_defaults

api_key: str | None
base_url: str
api_key, base_url = fireworks_defaults()

__all__ = [
    "ChatCompletion",
    "Completion",
    "Model",
    "__version__",
    "api",
    "api_key",
    "base_url",
    "error",
    "log",
    "set_console_log_level",
]
