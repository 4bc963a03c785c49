"""The models that the server has."""

from __future__ import annotations

from paddock.clients.fireworks.api import ListModelsResponse
from paddock.clients.fireworks.connection import connect, connect_async
from paddock.clients.transport import Call


class Model:
    @classmethod
    def list(cls, request_timeout: float | None = 60) -> ListModelsResponse:
        """Returns a list of available models.

        Args:
            request_timeout: the request timeout in seconds.

        Raises:
            FireworksError: see `paddock.clients.fireworks.error`.
        """
        return connect(request_timeout).request(_list())

    @classmethod
    async def alist(cls, request_timeout: float | None = 60) -> ListModelsResponse:
        """Asynchronously returns a list of available models."""
        return await connect_async(request_timeout).request(_list())


def _list() -> Call[ListModelsResponse]:
    return Call("GET", "models", ListModelsResponse.model_validate, repeatable=True)
