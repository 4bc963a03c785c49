"""The composition root: builds the gateway and the control side, runs them, and ends them in order."""

from paddock.main.front import build_gateway
from paddock.main.server import serve

__all__ = ["build_gateway", "serve"]
