"""`DedicatedLLM` never leaves an instance behind, on both sides."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from paddock.clients.cortecs import AsyncCortecs, Cortecs, error
from paddock.clients.langchain import DedicatedLLM
from tests.unit.clients.cortecs_platform import BASE, CREDENTIALS, Platform, refuse
from tests.unit.clients.server import Exchange, Server
from tests.unit.clients.shapes import CHAT

pytest.importorskip("langchain_openai")

Run = Callable[..., Any]
START, STOP = "POST /instances/start", "POST /instances/stop"
DELETE = "DELETE /instances/instance-1"


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    return Platform()


@pytest.fixture
def server(platform: Platform) -> Iterator[Server]:
    with Server(platform) as server:
        yield server


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest, server: Server) -> Run:
    """Calls `body` with the chat model, inside of a `DedicatedLLM`'s block; gives its result."""

    def run_with(body: Callable[[Any], Any], **options: Any) -> Any:
        with DedicatedLLM(Cortecs(**to(server)), "paddock/foal", poll_interval=0.001, **options) as llm:
            return body(llm)

    async def run_async_with(body: Callable[[Any], Any], **options: Any) -> Any:
        client = AsyncCortecs(**to(server))
        async with DedicatedLLM(client, "paddock/foal", poll_interval=0.001, **options) as llm:
            return body(llm)

    if request.param == "sync":
        return run_with
    return lambda *args, **options: asyncio.run(run_async_with(*args, **options))


def to(server: Server) -> dict[str, Any]:
    return {"api_base_url": server.url + BASE, **CREDENTIALS}


def ended(platform: Platform) -> bool:
    """Whether there was an instance, and it was stopped and deleted."""
    return platform.instances == {} and platform.asked[START] > 0 and platform.asked[DELETE] > 0


def interrupt(then: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
    """Presses Ctrl-C, then answers."""

    def respond(exchange: Exchange) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        then(exchange)

    return respond


class TestBlock:
    def test_a_chat_model_on_an_instance(self, run: Run, platform: Platform, server: Server) -> None:
        def ask(llm: Any) -> str:
            assert (llm.model_name, llm.temperature) == ("paddock/foal", 0.5)
            assert llm.openai_api_base == "http://instance/instance-1/v1"
            # The platform gives an address that does not exist; its own leads to the same model.
            llm = type(llm)(model=llm.model_name, base_url=server.url + "/v1", api_key=llm.openai_api_key)
            return str(llm.invoke("What does a horse eat?").content)

        platform.ahead["POST /v1/chat/completions"] = [lambda exchange: exchange.answer(CHAT)]
        assert run(ask, temperature=0.5, api_key="key") == "Hay."
        chat = next(each for each in server.exchanges if each.path.startswith("/v1"))
        assert chat.headers["authorization"] == "Bearer key"
        assert ended(platform)

    def test_starts_what_is_asked_for(self, run: Run, server: Server) -> None:
        run(lambda llm: None, hardware_type_id="CPU_2", context_length=512)
        started = next(each for each in server.exchanges if each.path.endswith("/start")).json()
        assert list(started.pop("labels")) == ["paddock.lifetime"]
        assert started == {
            "model_id": "paddock--foal",
            "hardware_type_id": "CPU_2",
            "context_length": 512,
            "billing_interval": "per_minute",
        }

    def test_what_the_body_raises_is_raised(self, run: Run, platform: Platform) -> None:
        def fail(llm: Any) -> None:
            raise ZeroDivisionError("mine")

        with pytest.raises(ZeroDivisionError, match="mine"):
            run(fail)
        assert ended(platform)

    def test_a_ctrl_c_in_the_body(self, run: Run, platform: Platform) -> None:
        with pytest.raises(KeyboardInterrupt):
            run(lambda llm: signal.raise_signal(signal.SIGINT))
        assert ended(platform)

    @pytest.mark.parametrize(("environment", "key"), [("from-env", "from-env"), (None, "none")])
    def test_the_key(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, environment: str | None, key: str
    ) -> None:
        if environment:
            monkeypatch.setenv("OPENAI_API_KEY", environment)
        assert run(lambda llm: llm.openai_api_key.get_secret_value()) == key


class TestStart:
    def test_that_fails(self, run: Run, platform: Platform) -> None:
        platform.fails = (3, "the weights are truncated")
        with pytest.raises(error.InstanceStopped, match="the weights are truncated"):
            run(lambda llm: pytest.fail("it does not run"))
        assert ended(platform)

    def test_that_takes_too_long(self, run: Run, platform: Platform) -> None:
        platform.stuck = True
        with pytest.raises(error.StillPending):
            run(lambda llm: pytest.fail("it does not run"), max_retries=3)
        assert ended(platform)

    def test_that_is_refused(self, run: Run, platform: Platform) -> None:
        platform.ahead[START] = [refuse(400, "no such model")]
        with pytest.raises(error.BadRequest, match="no such model"):
            run(lambda llm: None)
        assert platform.asked[STOP] == 0

    def test_whose_answer_is_lost(self, run: Run, platform: Platform, server: Server) -> None:
        def lose(exchange: Exchange) -> None:
            platform.reply(exchange)
            exchange.hang_up()

        Cortecs(**to(server)).start("paddock/foal", poll=False)
        platform.ahead[START] = [lose]
        with pytest.raises(error.ConnectionFailed):
            run(lambda llm: None)
        assert list(platform.instances) == ["instance-1"]
        assert platform.asked["DELETE /instances/instance-2"] == 1

    @pytest.mark.usefixtures("quick_retries")
    def test_of_which_nothing_is_known(self, run: Run, platform: Platform) -> None:
        platform.ahead[START] = [Exchange.hang_up]
        platform.ahead["GET /instances/"] = [refuse(500)]
        with pytest.raises(error.ConnectionFailed) as raised:
            run(lambda llm: None)
        assert raised.value.__notes__[0].startswith("whether an instance was started is not known: not now")

    def test_with_a_ctrl_c_before_its_answer(self, run: Run, platform: Platform) -> None:
        platform.ahead[START] = [interrupt(platform.answer)]
        with pytest.raises(KeyboardInterrupt):
            run(lambda llm: None)
        assert ended(platform)

    def test_with_a_ctrl_c_while_waiting(self, run: Run, platform: Platform) -> None:
        platform.stuck = True
        platform.ahead["GET /instances/instance-1"] = [platform.answer, interrupt(Exchange.hang_up)]
        with pytest.raises(KeyboardInterrupt):
            run(lambda llm: None)
        assert ended(platform)

    def test_with_arguments_that_the_chat_model_refuses(self, run: Run, platform: Platform) -> None:
        with pytest.raises(ValueError, match="temperature"):
            run(lambda llm: None, temperature="hot")
        assert ended(platform)


class TestEnd:
    def test_is_tried_again(self, run: Run, platform: Platform) -> None:
        platform.ahead[STOP] = [refuse(500)]
        platform.ahead[DELETE] = [refuse(409, "it is about to stop")]
        assert run(lambda llm: 7) == 7
        assert ended(platform)

    def test_of_an_instance_that_is_gone(self, run: Run, platform: Platform) -> None:
        assert run(lambda llm: platform.instances.clear()) is None

    def test_of_an_instance_that_is_stopped(self, run: Run, platform: Platform) -> None:
        platform.ahead[STOP] = [refuse(409, "it is stopped already"), platform.answer]
        run(lambda llm: None)
        assert ended(platform)

    def test_that_fails_is_raised(self, run: Run, platform: Platform) -> None:
        platform.ahead[STOP] = [refuse(403, "not yours")]
        with pytest.raises(error.PermissionDenied, match="not yours") as raised:
            run(lambda llm: None)
        assert raised.value.__notes__ == ["instance instance-1 could not be ended, and may cost"]

    def test_that_fails_masks_nothing(self, run: Run, platform: Platform) -> None:
        def fail(llm: Any) -> None:
            raise ZeroDivisionError

        platform.ahead[STOP] = [refuse(403, "not yours")]
        with pytest.raises(ZeroDivisionError) as raised:
            run(fail)
        assert raised.value.__notes__ == [
            "instance instance-1 could not be ended, and may cost: not yours (status 403)"
        ]

    def test_is_given_up(self, run: Run, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
        for side in ("_sync", "_async"):
            monkeypatch.setattr(f"paddock.clients.cortecs.{side}.lifetime.END_WITHIN", 0.1)
        platform.ahead[DELETE] = [refuse(500)] * 9
        with pytest.raises(error.ServerError):
            run(lambda llm: None)
        assert platform.asked[DELETE] == 2

    def test_with_a_second_ctrl_c(self, run: Run, platform: Platform) -> None:
        def press(llm: Any) -> None:
            platform.ahead[STOP] = [interrupt(platform.answer)]

        with pytest.raises(KeyboardInterrupt):
            run(press)
        assert ended(platform)


class TestCancellation:
    async def test_ends_the_instance(self, server: Server, platform: Platform) -> None:
        platform.stuck = True
        dedicated = DedicatedLLM(AsyncCortecs(**to(server)), "paddock/foal", poll_interval=0.001)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(dedicated.astart_up(), 0.1)
        assert ended(platform)


class TestArguments:
    def test_the_wrong_kind_of_client(self, server: Server) -> None:
        with pytest.raises(TypeError, match="`with` needs a Cortecs, and `async with` a AsyncCortecs"):
            DedicatedLLM(AsyncCortecs(**to(server)), "paddock/foal").start_up()
        with pytest.raises(TypeError, match="`async with` needs an AsyncCortecs, and `with` a Cortecs"):
            asyncio.run(DedicatedLLM(Cortecs(**to(server)), "paddock/foal").astart_up())

    def test_without_langchain(
        self, server: Server, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "langchain_openai", None)
        with pytest.raises(ImportError, match="needs LangChain: pip install langchain-openai"):
            DedicatedLLM(Cortecs(**to(server)), "paddock/foal").start_up()
        assert platform.asked[START] == 0

    def test_it_can_be_used_again_but_not_twice_at_once(self, server: Server, platform: Platform) -> None:
        dedicated = DedicatedLLM(Cortecs(**to(server)), model_id="paddock--foal", poll_interval=0.001)
        with dedicated:
            with pytest.raises(RuntimeError, match="it is started already"):
                dedicated.start_up()
        with dedicated as llm:
            assert llm.openai_api_base == "http://instance/instance-2/v1"
        assert dedicated.instance is not None
        assert platform.instances == {}

    def test_bad_ones_are_said_at_once(self, server: Server) -> None:
        with pytest.raises(error.BadRequest, match="model_name is missing"):
            DedicatedLLM(Cortecs(**to(server)))
        with pytest.raises(error.BadRequest, match="max_retries"):
            DedicatedLLM(Cortecs(**to(server)), "paddock/foal", max_retries=-1)
