"""What a user of the published Cortecs client relies on, on both sides."""

from __future__ import annotations

import asyncio
import io
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from paddock.clients.cortecs import AsyncCortecs, Cortecs, InstanceArgs, error
from paddock.clients.cortecs.access import Access
from paddock.clients.cortecs.arguments import best_fit, resolved
from paddock.clients.cortecs.progress import ProgressLine
from paddock.clients.cortecs.waiting import Patience
from paddock.schemas.cortecs import Instance, Model, TokenResponse
from tests.unit.clients.cortecs_platform import BASE, CONFIGS, CREDENTIALS, MODEL, Platform, refuse, stop
from tests.unit.clients.server import Exchange, Server

Make = Callable[..., Any]
QUICK = {"poll_interval": 0.001}


class Blocking:
    """An `AsyncCortecs` whose methods are called as a `Cortecs`'s, each in an event loop of its own."""

    def __init__(self, **options: Any) -> None:
        self.client = AsyncCortecs(**options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            return asyncio.run(method(*args, **kwargs))

        return call


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
def server(platform: Platform) -> Iterator[Server]:
    with Server(platform) as server:
        yield server


@pytest.fixture(params=[Cortecs, Blocking], ids=["sync", "async"])
def make(request: pytest.FixtureRequest, server: Server) -> Make:
    """Makes a client of the served platform."""
    return lambda **options: request.param(**{"api_base_url": server.url + BASE, **CREDENTIALS, **options})


@pytest.fixture
def cortecs(make: Make) -> Any:
    return make()


class TestStart:
    def test_waits_until_it_runs(self, cortecs: Any) -> None:
        instance = cortecs.start("paddock/foal", **QUICK)
        assert instance.instance_status.status == "running"
        assert instance.instance_status.started_at == datetime(2024, 11, 29, 9, 5, 47, 788000, UTC)
        assert instance.chat_openai_config(temperature=0) == {
            "model_name": "paddock/foal",
            "base_url": f"http://instance/{instance.instance_id}/v1",
            "temperature": 0,
        }

    def test_without_waiting(self, cortecs: Any) -> None:
        instance = cortecs.start("paddock/foal", poll=False)
        assert instance.base_url is None
        assert instance.instance_status.init_progress["current_step"] == 1
        assert instance.worker_statuses[0].init_progress["description"] == "queued"

    def test_sends_what_is_given(self, cortecs: Any, server: Server) -> None:
        cortecs.start("paddock/foal", "CPU_2", 512, "per_hour", 2, labels={"a": "b"}, poll=False)
        assert server.exchanges[-1].json() == {
            "model_id": "paddock--foal",
            "hardware_type_id": "CPU_2",
            "context_length": 512,
            "billing_interval": "per_hour",
            "num_workers": 2,
            "labels": {"a": "b"},
        }

    def test_the_older_name_of_the_model(self, cortecs: Any, server: Server) -> None:
        cortecs.start(model_id="paddock--foal", poll=False)
        assert server.exchanges[-1].json() == {"model_id": "paddock--foal"}

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({}, "model_name is missing"),
            ({"model_name": "a/b", "model_id": "c--d"}, "model_name 'a/b' and model_id 'c--d' are differ"),
            ({"model_name": 7}, "model_name is missing: it is a model's name"),
            (
                {"model_name": "a/b", "context_length": "long"},
                "context_length: input should be a valid integer",
            ),
            ({"model_name": "a/b", "poll_interval": -1}, "poll_interval must be a number from 0, not -1"),
        ],
    )
    def test_bad_arguments_are_not_sent(
        self, cortecs: Any, server: Server, arguments: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(error.BadRequest, match=said):
            cortecs.start(**arguments)
        assert server.exchanges == []

    def test_fails_with_the_servers_reason(self, cortecs: Any, platform: Platform) -> None:
        platform.fails = (4, "the weights are truncated")
        with pytest.raises(error.InstanceStopped, match="instance-1 of paddock/foal does not run: the weigh"):
            cortecs.start("paddock/foal", **QUICK)

    def test_gives_up_in_time(self, cortecs: Any, platform: Platform) -> None:
        platform.stuck = True
        with pytest.raises(error.StillPending, match=r"within 0 s at step 1 of 5: queued; wait") as raised:
            cortecs.start("paddock/foal", max_retries=3, **QUICK)
        assert isinstance(raised.value, TimeoutError)
        assert raised.value.instance is not None
        assert raised.value.instance.instance_id == "instance-1"
        assert platform.asked["GET /instances/instance-1"] >= 4


class TestPollInstance:
    def test_of_one_that_runs(self, cortecs: Any, platform: Platform) -> None:
        cortecs.start("paddock/foal", **QUICK)
        platform.asked.clear()
        assert cortecs.poll_instance("instance-1").base_url
        assert platform.asked == {"GET /instances/instance-1": 1}

    def test_of_one_that_is_stopped(self, cortecs: Any) -> None:
        cortecs.start("paddock/foal", poll=False)
        cortecs.stop("instance-1")
        with pytest.raises(error.InstanceStopped, match="it was stopped") as raised:
            cortecs.poll_instance("instance-1")
        assert isinstance(raised.value, RuntimeError)

    def test_outlives_the_server(self, cortecs: Any, platform: Platform) -> None:
        cortecs.start("paddock/foal", poll=False)
        platform.ahead["GET /instances/instance-1"] = [platform.answer, refuse(502), refuse(500)]
        assert cortecs.poll_instance("instance-1", **QUICK).base_url

    def test_of_an_unknown_one(self, cortecs: Any) -> None:
        with pytest.raises(error.NotFound, match=r"there is no instance x \(status 404\)"):
            cortecs.poll_instance("x")

    def test_shows_progress(self, make: Make, capsys: pytest.CaptureFixture[str]) -> None:
        make(progress=True).start("paddock/foal", **QUICK)
        assert capsys.readouterr().err.splitlines() == [
            "paddock/foal [##---] 2/5 reserving hardware",
            "paddock/foal [###--] 3/5 fetching weights (1 of 2 MB)",
            "paddock/foal [####-] 4/5 loading",
            "paddock/foal is running",
        ]

    def test_shows_none_without_a_terminal(self, make: Make, capsys: pytest.CaptureFixture[str]) -> None:
        make().start("paddock/foal", **QUICK)
        make(progress=True).start("paddock/foal", progress=False, **QUICK)
        assert capsys.readouterr().err == ""


class TestEnsureInstance:
    def test_starts_with_every_default_filled_in(self, cortecs: Any, server: Server) -> None:
        assert cortecs.ensure_instance("paddock/foal", **QUICK).base_url
        started = next(each for each in server.exchanges if each.path.endswith("/start"))
        assert started.json() == {
            "model_id": "paddock--foal",
            "hardware_type_id": "CPU_1",
            "context_length": 2048,
            "billing_interval": "per_minute",
            "num_workers": 1,
        }

    def test_takes_the_one_that_runs(self, cortecs: Any, platform: Platform) -> None:
        cortecs.start("paddock/foal", poll=False)
        cortecs.start("paddock/foal", **QUICK)
        assert cortecs.ensure_instance(model_id="paddock--foal").instance_id == "instance-2"
        assert platform.asked["POST /instances/start"] == 2

    def test_waits_for_the_one_that_starts(self, cortecs: Any, platform: Platform) -> None:
        cortecs.start("paddock/foal", poll=False)
        assert cortecs.ensure_instance("paddock/foal", **QUICK).base_url
        assert platform.asked["POST /instances/start"] == 1

    def test_restarts_the_one_that_is_stopped(self, cortecs: Any, platform: Platform) -> None:
        cortecs.start("paddock/foal", poll=False)
        cortecs.stop("instance-1")
        assert cortecs.ensure_instance("paddock/foal", poll=False).instance_id == "instance-1"
        assert platform.asked["POST /instances/restart"] == 1

    @pytest.mark.parametrize(
        "other", [{"context_length": 512}, {"num_workers": 2}, {"hardware_type_id": "CPU_2"}]
    )
    def test_does_not_take_another(self, cortecs: Any, other: dict[str, Any]) -> None:
        cortecs.start("paddock/foal", poll=False)
        assert cortecs.ensure_instance("paddock/foal", poll=False, **other).instance_id == "instance-2"

    def test_says_what_fits(self, cortecs: Any, platform: Platform) -> None:
        with pytest.raises(error.BadRequest, match=r"paddock--foal runs on \(CPU_1, CPU_2\), not 'H'"):
            cortecs.ensure_instance("paddock/foal", "H")
        with pytest.raises(error.BadRequest, match=r"context_length 4096 is too large .* at most 2048"):
            cortecs.ensure_instance("paddock/foal", context_length=4096)
        assert platform.asked["POST /instances/start"] == 0


class TestInstances:
    def test_stop_restart_delete(self, cortecs: Any) -> None:
        cortecs.start("paddock/foal", **QUICK)
        assert cortecs.stop("instance-1").instance_status.status == "stopped"
        assert cortecs.get_instance_status("instance-1").stopped_at is not None
        assert cortecs.get_worker_statuses("instance-1")[0].init_progress is None
        assert cortecs.restart("instance-1", **QUICK).base_url
        cortecs.stop("instance-1")
        assert cortecs.delete("instance-1") == "instance-1"
        assert cortecs.get_all_instances() == []

    def test_running_ones(self, cortecs: Any) -> None:
        cortecs.start("paddock/foal", poll=False)
        running = cortecs.start("paddock/foal", **QUICK)
        assert len(cortecs.get_all_instances()) == 2
        assert [each.instance_id for each in cortecs.get_running_instances()] == [running.instance_id]

    def test_all_at_once(self, cortecs: Any, server: Server) -> None:
        assert cortecs.stop_all() == []
        assert server.exchanges[-1].body == b""
        assert cortecs.delete_all() == ["false"]
        assert cortecs.delete_all(force=True) == ["true"]

    def test_conflicts(self, cortecs: Any) -> None:
        cortecs.start("paddock/foal", poll=False)
        with pytest.raises(error.Conflict, match=r"instance-1 is pending: stop it first \(status 409\)"):
            cortecs.delete("instance-1")

    @pytest.mark.parametrize("instance_id", ["", ".", "..", "delete-all", None])
    def test_an_id_that_would_be_another_address(
        self, cortecs: Any, server: Server, instance_id: Any
    ) -> None:
        with pytest.raises(error.BadRequest, match="must be the id of an instance"):
            cortecs.delete(instance_id)
        assert server.exchanges == []

    def test_an_id_with_a_slash(self, cortecs: Any, server: Server) -> None:
        with pytest.raises(error.NotFound):
            cortecs.get_instance("a/b")
        assert server.exchanges[-1].path == BASE + "/instances/a%2Fb"


class TestWithoutCredentials:
    def test_models_and_hardware(self, cortecs: Any, platform: Platform) -> None:
        (model,) = cortecs.get_all_models()
        assert (model.model_id, model.hardware_configs) == ("paddock--foal", ["CPU_1", "CPU_2"])
        detail = cortecs.get_model("paddock/foal")
        assert detail.hardware_configs["CPU_2"].params["--max-model-len"] == 64_000
        assert cortecs.get_all_hardware_types()[0].price_info["price_per_minute"] == 0.02
        assert cortecs.get_available_hardware_types() == []
        assert platform.asked["POST /oauth2/token"] == 0

    def test_sends_no_token(
        self, make: Make, server: Server, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("CORTECS_CLIENT_ID", raising=False)
        monkeypatch.delenv("CORTECS_CLIENT_SECRET", raising=False)
        with pytest.raises(error.Unauthorized, match="not known; set CORTECS_CLIENT_ID and CORTECS_CLIENT_S"):
            make(client_id=None, client_secret=None).get_all_instances()
        assert "authorization" not in server.exchanges[-1].headers
        assert len(server.exchanges) == 1

    def test_with_half_of_them(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CORTECS_CLIENT_SECRET", raising=False)
        with pytest.raises(error.Unauthorized, match="client_secret is missing"):
            make(client_secret=None).get_all_instances()


class TestToken:
    def test_is_asked_for_once(self, cortecs: Any, platform: Platform) -> None:
        cortecs.get_all_instances()
        cortecs.get_all_instances()
        assert platform.tokens == ["token-0"]

    def test_is_renewed_when_it_ran_out(self, cortecs: Any, platform: Platform) -> None:
        platform.expires_in = 0
        cortecs.get_all_instances()
        cortecs.get_all_instances()
        assert platform.tokens == ["token-0", "token-1"]

    def test_is_renewed_when_the_server_forgot_it(self, cortecs: Any, platform: Platform) -> None:
        cortecs.get_all_instances()
        platform.tokens[:] = ["another"]
        assert cortecs.get_all_instances() == []

    def test_wrong_credentials(self, make: Make, platform: Platform) -> None:
        with pytest.raises(error.Unauthorized, match=r"^the credentials are not known \(status 401\)$"):
            make(client_secret="x").get_all_instances()
        assert platform.asked == {"POST /oauth2/token": 1}

    def test_is_renewed_before_it_runs_out(self) -> None:
        access = Access("http://h", "id", "secret", None)
        access.keep(TokenResponse(access_token="a", expires_in=3600), now=100.0)
        assert access.token_at(100.0 + 3539) == "a"
        assert access.token_at(100.0 + 3541) is None
        access.keep(TokenResponse(access_token="b", expires_in=10), now=100.0)
        assert (access.token_at(108.9), access.token_at(109.1)) == ("b", None)
        access.forget("a")
        assert access.token_at(100.0) == "b"
        assert "secret" not in repr(access).replace("client_secret", "")


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, error.BadRequest),
            (402, error.BadRequest),
            (403, error.PermissionDenied),
            (404, error.NotFound),
            (408, error.Timeout),
            (409, error.Conflict),
            (429, error.RateLimited),
            (500, error.ServerError),
            (503, error.ServerError),
            (504, error.Timeout),
        ],
    )
    @pytest.mark.usefixtures("quick_retries")
    def test_by_status(self, cortecs: Any, platform: Platform, status: int, kind: type[Exception]) -> None:
        platform.ahead["GET /instances/"] = [refuse(status, "because")] * 3
        with pytest.raises(error.CortecsError, match="because") as raised:
            cortecs.get_all_instances()
        assert type(raised.value) is kind
        assert raised.value.status_code == status
        assert raised.value.body == {"error": {"message": "because"}}

    @pytest.mark.usefixtures("quick_retries")
    def test_transport_retries(self, cortecs: Any, platform: Platform) -> None:
        platform.ahead["GET /instances/"] = [refuse(503), Exchange.hang_up]
        assert cortecs.get_all_instances() == []
        platform.ahead["POST /instances/start"] = [refuse(429)]
        cortecs.start("paddock/foal", poll=False)
        assert len(platform.instances) == 1

    def test_a_start_is_not_sent_again_if_its_answer_is_lost(self, cortecs: Any, platform: Platform) -> None:
        platform.ahead["POST /instances/start"] = [Exchange.hang_up]
        with pytest.raises(error.ConnectionFailed):
            cortecs.start("paddock/foal")
        assert platform.asked["POST /instances/start"] == 1

    def test_an_answer_that_is_not_understood(self, cortecs: Any, platform: Platform) -> None:
        platform.ahead["GET /instances/"] = [lambda exchange: exchange.answer({"instances": [{}]})]
        with pytest.raises(error.ServerError, match="is not understood"):
            cortecs.get_all_instances()

    def test_a_slow_server(self, make: Make, platform: Platform) -> None:
        platform.ahead["GET /models/"] = [lambda exchange: exchange.wait_for_close() and None]
        with pytest.raises(error.Timeout):
            make(request_timeout=0.1).get_all_models()

    @pytest.mark.parametrize("kind", [error.BadRequest, error.StillPending, error.InstanceStopped])
    def test_can_be_pickled(self, kind: type[error.CortecsError]) -> None:
        again = pickle.loads(pickle.dumps(kind("no", status_code=400, body={"a": 1})))
        assert (type(again), str(again), again.body) == (kind, "no (status 400)", {"a": 1})


class TestConstructor:
    def test_reads_the_environment(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CORTECS_API_BASE_URL", server.url + BASE)
        monkeypatch.setenv("CORTECS_CLIENT_ID", "id")
        monkeypatch.setenv("CORTECS_CLIENT_SECRET", "secret")
        assert Cortecs().get_all_instances() == []
        assert Cortecs(api_base_url="http://other/v1").api_base_url == "http://other/v1"
        monkeypatch.delenv("CORTECS_API_BASE_URL")
        assert AsyncCortecs().api_base_url == "https://cortecs.ai/api/v1"

    def test_says_what_is_wrong(self) -> None:
        with pytest.raises(ValueError, match="api_base_url must be a URL"):
            Cortecs(api_base_url="localhost")
        with pytest.raises(ValueError, match="request_timeout must be"):
            Cortecs(request_timeout=0)


class TestPatience:
    def test_looks_often_at_first(self) -> None:
        patience = Patience(poll_interval=5, max_retries=150)
        pauses = [patience.pause(1, waited) for waited in (0, 1, 10, 49, 500, 749)]
        assert pauses == [0.2, 0.2, 1.0, 4.9, 5, 1]
        assert patience.pause(151, 750) is None

    def test_as_many_looks_as_the_published_client(self) -> None:
        assert Patience(5, 150).pause(150, 800) == 5
        assert Patience(0, 3).pause(3, 0) == 0
        assert Patience(0, 3).pause(4, 0) is None
        assert Patience(5, 0).pause(1, 0) is None


class TestBestFit:
    def test_of_an_older_platform_without_workers(self) -> None:
        args = {
            "model_id": "a--b",
            "hardware_type_id": "H",
            "context_length": 9,
            "billing_interval": "per_hour",
        }
        status = {"status": "running"}
        old = Instance.model_validate(
            {"instance_id": "i", "instance_args": args | {"region": "x"}, "instance_status": status}
        )
        assert best_fit([old], InstanceArgs(**args, num_workers=1)) is old
        assert best_fit([old], InstanceArgs(**args, num_workers=2)) is None

    def test_a_model_without_recommendation(self) -> None:
        model = Model.model_validate(MODEL | {"recommended_config": None, "hardware_configs": CONFIGS})
        with pytest.raises(error.BadRequest, match="not None"):
            resolved(InstanceArgs(model_id="paddock--foal"), model)
        args = resolved(InstanceArgs.from_hf_name("paddock/foal", hardware_type_id="CPU_2"), model)
        assert args.context_length == 32_000
        assert args.hf_name == "paddock/foal"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestProgressLine:
    @contextmanager
    def drawn(self, **options: Any) -> Iterator[tuple[Terminal, ProgressLine]]:
        stream = Terminal()
        with ProgressLine(None, stream, **options) as line:
            yield stream, line

    def pending(self, description: str) -> Instance:
        progress = {"current_step": 3, "num_steps": 5, "description": description}
        status = {"status": "pending", "init_progress": progress}
        return Instance.model_validate(
            {"instance_id": "i", "instance_args": {"model_id": "a--b"}, "instance_status": status}
        )

    def test_on_a_terminal_it_is_drawn_over_and_erased(self) -> None:
        with self.drawn() as (stream, line):
            line.update(self.pending("fetching weights"), 1.2)
            line.update(self.pending("loading"), 2.2)
        first, second = "a/b [###--] 3/5 fetching weights · 1 s", "a/b [###--] 3/5 loading · 2 s"
        erased = " " * len(second)
        assert stream.getvalue() == f"\r{first}\r{second.ljust(len(first))}\r{erased}\r"

    def test_it_fits_a_line_and_commands_no_terminal(self) -> None:
        with self.drawn() as (stream, line):
            line.update(self.pending("\x1b[2J" + "x" * 100), 1)
            assert "\x1b" not in stream.getvalue()
            assert len(stream.getvalue()) == 80

    def test_an_instance_without_progress(self) -> None:
        instance = self.pending("x")
        instance.instance_status.init_progress = None
        with self.drawn() as (stream, line):
            line.update(instance, 0)
            assert stream.getvalue() == "\ra/b is starting · 0 s"


def test_an_instance_that_is_stopped_while_waited_for(cortecs: Any, platform: Platform) -> None:
    def stopped(exchange: Exchange) -> None:
        stop(platform.instances["instance-1"])
        platform.answer(exchange)

    cortecs.start("paddock/foal", poll=False)
    platform.ahead["GET /instances/instance-1"] = [platform.answer, stopped]
    began = time.monotonic()
    with pytest.raises(error.InstanceStopped, match="does not run: it was stopped"):
        cortecs.poll_instance("instance-1", **QUICK)
    assert time.monotonic() - began < 5
