"""A LangChain chat model on an instance of its own, for as long as a `with` block lasts.

from paddock.clients.cortecs import Cortecs
from paddock.clients.langchain import DedicatedLLM

with DedicatedLLM(Cortecs(), "paddock/foal", temperature=0) as llm:
    print(llm.invoke("What does a horse eat?").content)
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from paddock.clients.cortecs import AsyncCortecs, Cortecs, Instance
from paddock.clients.cortecs._async.lifetime import AsyncLifetime
from paddock.clients.cortecs._sync.lifetime import Lifetime
from paddock.clients.cortecs.arguments import named
from paddock.clients.cortecs.waiting import Patience
from paddock.settings import cortecs_defaults

if TYPE_CHECKING:
    from langchain_openai import ChatOpenAI

# ChatOpenAI wants some key; a server that requires none takes any.
_NO_KEY = "none"


class DedicatedLLM:
    """Starts an instance, gives a chat model on it, and always stops and deletes it.

    It is ended when the block is left, and when its start fails half-way, takes too long or is
    interrupted. What was raised is raised on; a failure to end the instance becomes a note on it.

    Args:
        client: whose instance it is: a `Cortecs` for `with`, an `AsyncCortecs` for `async with`.
        model_name: the model's name or id: `paddock/foal` or `paddock--foal`.
        hardware_type_id: where it runs; by default what the server recommends for the model.
        context_length: tokens of context; by default the smaller of 32,000 and the model's own.
        billing_interval: "per_minute" or "per_hour".
        poll_interval: most seconds between two looks at the starting instance.
        max_retries: after as many looks, and as many times `poll_interval`, it is given up.
        api_key: sent to the instance; by default the environment's OPENAI_API_KEY, if it has one.
        model_id: another name of `model_name`.
        **kwargs: further arguments of `ChatOpenAI`, such as `temperature`.

    Attributes:
        instance: what the chat model talks to; None before.
    """

    def __init__(
        self,
        client: Cortecs | AsyncCortecs,
        model_name: str | None = None,
        hardware_type_id: str | None = None,
        context_length: int | None = None,
        billing_interval: str = "per_minute",
        poll_interval: float = 5,
        max_retries: int = 150,
        api_key: str | None = None,
        *,
        model_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        *_, default_key = cortecs_defaults()
        self.client = client
        self.instance: Instance | None = None
        self._start_args = {
            "model_name": named(model_name, model_id),
            "hardware_type_id": hardware_type_id,
            "context_length": context_length,
            "billing_interval": billing_interval,
        }
        self._patience = Patience(poll_interval, max_retries)
        self._chat_args = {"api_key": api_key or default_key or _NO_KEY, **kwargs}
        self._lifetime: Lifetime | AsyncLifetime | None = None

    def start_up(self) -> ChatOpenAI:
        """Start the instance and wait until it runs.

        Raises:
            CortecsError: it could not be started; see `Cortecs.start`.
            ImportError: LangChain's part for OpenAI is not installed.
            TypeError: the client is an asynchronous one.
            RuntimeError: it is started already.
        """
        if not isinstance(self.client, Cortecs):
            raise TypeError(f"`with` needs a Cortecs, and `async with` a {type(self.client).__name__}")
        chat_model = self._before_start()
        lifetime = self._lifetime = Lifetime(self.client, **self._start_args)
        try:
            self.instance = lifetime.begin(self._patience.poll_interval, self._patience.max_retries)
            return chat_model(**self.instance.chat_openai_config(**self._chat_args))
        except BaseException as error:
            self.shut_down(error)
            raise

    def shut_down(self, cause: BaseException | None = None) -> None:
        """Stop and delete the instance, if there is one; see `Lifetime.end`."""
        lifetime, self._lifetime = self._lifetime, None
        if isinstance(lifetime, Lifetime):
            lifetime.end(cause)

    async def astart_up(self) -> ChatOpenAI:
        """`start_up` with an `AsyncCortecs`."""
        if not isinstance(self.client, AsyncCortecs):
            raise TypeError(f"`async with` needs an AsyncCortecs, and `with` a {type(self.client).__name__}")
        chat_model = self._before_start()
        lifetime = self._lifetime = AsyncLifetime(self.client, **self._start_args)
        try:
            self.instance = await lifetime.begin(self._patience.poll_interval, self._patience.max_retries)
            return chat_model(**self.instance.chat_openai_config(**self._chat_args))
        except BaseException as error:
            await self.ashut_down(error)
            raise

    async def ashut_down(self, cause: BaseException | None = None) -> None:
        """`shut_down` with an `AsyncCortecs`."""
        lifetime, self._lifetime = self._lifetime, None
        if isinstance(lifetime, AsyncLifetime):
            await lifetime.end(cause)

    def __enter__(self) -> ChatOpenAI:
        return self.start_up()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shut_down(error)

    async def __aenter__(self) -> ChatOpenAI:
        return await self.astart_up()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.ashut_down(error)

    def _before_start(self) -> type[ChatOpenAI]:
        if self._lifetime is not None:
            raise RuntimeError("it is started already: leave its block first, or make another DedicatedLLM")
        try:
            # Here, because it takes a second to import, and the rest of the client does without it.
            from langchain_openai import ChatOpenAI
        except ImportError as error:
            said = f"DedicatedLLM needs LangChain: pip install langchain-openai ({error})"
            raise ImportError(said, name=error.name) from error
        return ChatOpenAI
