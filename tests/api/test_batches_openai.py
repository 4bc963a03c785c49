"""OpenAI's batch routes: what is accepted, what is refused at once, and how a job looks as a batch."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai.types import Batch

from paddock.inference.routing import Deployment
from paddock.services import files, jobs
from paddock.services.batches.spec import BatchSpec
from paddock.services.deployments import LOCAL
from paddock.services.jobs import NewJob
from paddock.store.tables import JobRow
from tests.api.batches import CHAT, BatchApi, lines, serving_batches

EMBED = "/v1/embeddings"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[BatchApi]:
    deployments = [
        Deployment("chatty", "llama.cpp", "chatty", id="dep-1", model="org/chatty"),
        Deployment("vectors", "llama.cpp", "vectors", id="dep-2", generates=False, embeds=True),
        Deployment("halted", "llama.cpp", "halted", id="dep-3", stopped=True),
        Deployment("theirs", "attached", "theirs"),
        Deployment("a/same", "llama.cpp", "same", id="dep-4"),
        Deployment("b/same", "llama.cpp", "same", id="dep-5"),
    ]
    async with serving_batches(tmp_path, *deployments) as running:
        yield running


class TestCreate:
    async def test_a_batch(self, api: BatchApi) -> None:
        before = int(time.time())
        made = await api.create(lines("chatty", 3), metadata={"team": "a"})
        assert made == {
            "id": made["id"],
            "object": "batch",
            "endpoint": CHAT,
            "model": "chatty",
            "errors": None,
            "input_file_id": made["input_file_id"],
            "completion_window": "24h",
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": made["created_at"],
            "in_progress_at": None,
            "expires_at": made["created_at"] + 24 * 3600,
            "finalizing_at": None,
            "completed_at": None,
            "failed_at": None,
            "expired_at": None,
            "cancelling_at": None,
            "cancelled_at": None,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": {"team": "a"},
        }
        assert made["id"].startswith("batch_")
        assert made["input_file_id"].startswith("file-")
        assert before <= made["created_at"] <= time.time()
        assert Batch.model_validate(made).to_dict(exclude_unset=True) == made
        assert made == await api.ask("GET", f"/v1/batches/{made['id']}")

    async def test_what_the_worker_is_told(self, api: BatchApi) -> None:
        keeps = {"anchor": "created_at", "seconds": 3600}
        made = await api.create(lines("theirs"), completion_window="2d", output_expires_after=keeps)
        job = await jobs.get(api.platform, LOCAL, made["id"])
        assert BatchSpec.from_json(job.spec) == BatchSpec(
            input_kind="file",
            input=made["input_file_id"],
            output_kind="files",
            output="",
            endpoint=CHAT,
            window="2d",
            wish={"model": "theirs"},
            asked={"output_expires_after": keeps},
        )
        assert (job.kind, job.dialect, job.state, job.priority) == ("batch", "openai", "queued", 0)
        assert job.input == f"file:{made['input_file_id']}"
        assert job.deadline_at == pytest.approx(job.created_at + 48 * 3600)
        needs = await api.platform.store.read(lambda session: session.get_one(JobRow, job.id).needs)
        assert needs == "theirs"

    @pytest.mark.parametrize(
        ("window", "hours"), [("24h", 24), ("1h", 1), ("336h", 336), ("1d", 24), ("14d", 336)]
    )
    async def test_windows(self, api: BatchApi, window: str, hours: int) -> None:
        made = await api.create(completion_window=window)
        assert made["completion_window"] == window
        assert made["expires_at"] == made["created_at"] + hours * 3600

    @pytest.mark.parametrize("window", ["", "24", "0h", "337h", "15d", "1w", "24H", "1.5h", "024h", "٣h"])
    async def test_no_windows(self, api: BatchApi, window: str) -> None:
        error = await api.refusal(completion_window=window)
        assert error["param"] == "completion_window"
        assert '"1h" to "336h" or "14d"' in error["message"]

    @pytest.mark.parametrize(
        ("more", "param", "said"),
        [
            ({"endpoint": "/v1/responses"}, "endpoint", f'one of "{CHAT}", "/v1/completions" or "{EMBED}"'),
            ({"endpoint": None}, "endpoint", "endpoint must be"),
            ({"completion_window": 24}, "completion_window", "must be a string, not 24"),
            ({"input_file_id": 5}, "input_file_id", "must be a string, not 5"),
            ({"input_file_id": ""}, "input_file_id", "must not be an empty string"),
            ({"input_file_id": "file-0"}, "input_file_id", "there is no file 'file-0'; upload it first"),
            ({"priority": "high"}, "priority", "known fields are: input_file_id, endpoint"),
            ({"metadata": {"a": 1}}, "metadata.a", "must be a string, not 1"),
            ({"metadata": {"a": "x" * 513}}, "metadata.a", "at most 512 characters"),
            ({"metadata": {"k" * 65: "x"}}, None, "at most 64 characters"),
            ({"metadata": {str(key): "" for key in range(17)}}, "metadata", "at most 16 items"),
            ({"output_expires_after": {"seconds": 3600}}, "output_expires_after.anchor", "is required"),
            (
                {"output_expires_after": {"anchor": "created_at", "seconds": 5}},
                "output_expires_after.seconds",
                "must be at least 3600, not 5",
            ),
            (
                {"output_expires_after": {"anchor": "last_active_at", "seconds": 3600}},
                "output_expires_after.anchor",
                'must be one of "created_at"',
            ),
        ],
    )
    async def test_bad_fields(self, api: BatchApi, more: Any, param: str | None, said: str) -> None:
        error = await api.refusal(**more)
        assert said in error["message"]
        assert param is None or error["param"] == param

    async def test_no_json(self, api: BatchApi) -> None:
        response = await api.client.post("/v1/batches", content=b"{")
        assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_json")

    @pytest.mark.parametrize(
        ("content", "code", "said"), [(b"", "empty_file", "is empty"), (b"\xff", "invalid_encoding", "UTF-8")]
    )
    async def test_files_without_lines(self, api: BatchApi, content: bytes, code: str, said: str) -> None:
        error = await api.refusal(content)
        assert (error["param"], error["code"]) == ("input_file_id", code)
        assert said in error["message"]

    async def test_a_file_of_another_project_is_none(self, api: BatchApi) -> None:
        theirs = await api.upload(lines("chatty"), "theirs")
        assert (await api.refusal(input_file_id=theirs))["code"] == "file_not_found"

    async def test_a_file_that_goes_meanwhile(self, api: BatchApi, monkeypatch: pytest.MonkeyPatch) -> None:
        create = jobs.create

        async def late(platform: Any, project: str, new: NewJob, check: Any) -> Any:
            await files.delete(platform, project, new.input.removeprefix("file:"))
            return await create(platform, project, new, check)

        monkeypatch.setattr(jobs, "create", late)
        error = await api.refusal()
        assert (error["param"], error["code"]) == ("input_file_id", "file_not_found")

    async def test_its_file_cannot_be_deleted(self, api: BatchApi) -> None:
        from_api = await api.create()
        with pytest.raises(Exception, match="cancel the job first"):
            await files.delete(api.platform, LOCAL, from_api["input_file_id"])


class TestModel:
    @pytest.mark.parametrize(
        ("model", "endpoint", "code", "said"),
        [
            ("halted", CHAT, "model_stopped", "is stopped on purpose"),
            ("vectors", CHAT, "unsupported_parameter", "makes embeddings only"),
            ("vectors", "/v1/completions", "unsupported_parameter", "makes embeddings only"),
            ("chatty", EMBED, "unsupported_parameter", "makes no embeddings"),
            ("paddock/foal", EMBED, "unsupported_parameter", "makes no embeddings"),
            ("same", CHAT, "model_ambiguous", "a/same, b/same"),
            ("/etc/passwd", CHAT, None, "--allow-path"),
        ],
    )
    async def test_one_that_cannot_be_asked(
        self, api: BatchApi, model: str, endpoint: str, code: str | None, said: str
    ) -> None:
        error = await api.refusal(lines(model), endpoint=endpoint)
        assert error["param"] == "input_file_id"
        assert code is None or error["code"] == code
        assert said in error["message"]

    @pytest.mark.parametrize(
        ("model", "endpoint"), [("org/chatty", CHAT), ("vectors", EMBED), ("foal", "/v1/completions")]
    )
    async def test_one_that_can(self, api: BatchApi, model: str, endpoint: str) -> None:
        assert (await api.create(lines(model), endpoint=endpoint))["model"] == model

    @pytest.mark.parametrize(
        "content",
        [
            lines("nonsense"),
            b"{\n",
            b"[]",
            b'{"body": []}',
            b'{"body": {"model": 5}}',
            b"\n" + lines("halted"),
            lines("x" * 70_000),
        ],
    )
    async def test_what_cannot_be_told_yet_is_told_by_the_worker(self, api: BatchApi, content: bytes) -> None:
        assert (await api.create(content))["model"] is None

    async def test_the_last_line_needs_no_end(self, api: BatchApi) -> None:
        assert (await api.create(lines("chatty").rstrip()))["model"] == "chatty"


class TestView:
    async def state(self, api: BatchApi, identity: str, **changes: Any) -> Any:
        await api.advance(identity, **changes)
        return await api.ask("GET", f"/v1/batches/{identity}")

    async def test_its_life(self, api: BatchApi) -> None:
        one = (await api.create())["id"]
        shown = await self.state(api, one, state="running", phase="validating", attempts=1)
        assert shown["status"] == "validating"
        shown = await self.state(api, one, phase="working", total=5, times={"queued": 1.0, "working": 2.5})
        assert (shown["status"], shown["in_progress_at"]) == ("in_progress", 2)
        shown = await self.state(api, one, done=3, failed=1)
        assert shown["request_counts"] == {"total": 5, "completed": 2, "failed": 1}
        # Its worker ended; it is as far as it was.
        assert (await self.state(api, one, state="queued"))["status"] == "in_progress"
        shown = await self.state(api, one, state="running", phase="finishing", times={"finishing": 3.0})
        assert (shown["status"], shown["finalizing_at"]) == ("finalizing", 3)
        results = {"output_file_id": "file-1", "error_file_id": "file-2"}
        shown = await self.state(
            api, one, state="completed", phase="", results=results, times={"completed": 4.0}
        )
        assert (shown["status"], shown["completed_at"]) == ("completed", 4)
        assert results.items() <= shown.items()

    @pytest.mark.parametrize("state", ["failed", "expired", "cancelled"])
    async def test_its_end(self, api: BatchApi, state: str) -> None:
        one = (await api.create())["id"]
        shown = await self.state(api, one, state=state, reason="a fire", times={state: 9.0})
        assert (shown["status"], shown[f"{state}_at"]) == (state, 9)
        why = {"code": "batch_failed", "message": "a fire", "param": None, "line": None}
        assert shown["errors"] == ({"object": "list", "data": [why]} if state == "failed" else None)

    async def test_what_is_wrong_with_its_input(self, api: BatchApi) -> None:
        one = (await api.create())["id"]
        wrong = {"code": "invalid_json_line", "message": "no", "param": None, "line": 2}
        shown = await self.state(api, one, state="failed", reason="the input is not right", errors=[wrong])
        assert shown["errors"] == {"object": "list", "data": [wrong]}


class TestCancel:
    async def test_one_that_nobody_has_begun_is_over_at_once(self, api: BatchApi) -> None:
        one = (await api.create())["id"]
        shown = await api.ask("POST", f"/v1/batches/{one}/cancel")
        assert shown["status"] == "cancelled"
        assert shown["cancelling_at"]
        assert shown["cancelled_at"]

    async def test_one_that_runs(self, api: BatchApi) -> None:
        one = (await api.create())["id"]
        await api.advance(one, state="running", phase="working", attempts=1)
        for _ in range(2):
            shown = await api.ask("POST", f"/v1/batches/{one}/cancel")
            assert (shown["status"], shown["cancelled_at"]) == ("cancelling", None)

    async def test_one_that_is_over(self, api: BatchApi) -> None:
        one = (await api.create())["id"]
        await api.advance(one, state="completed")
        error = (await api.ask("POST", f"/v1/batches/{one}/cancel", status=409))["error"]
        assert "it is completed" in error["message"]
        assert error["code"] == "job_is_over"


class TestList:
    async def test_pages(self, api: BatchApi) -> None:
        made = [(await api.create())["id"] for _ in range(3)][::-1]
        first = await api.ask("GET", "/v1/batches?limit=2")
        assert [one["id"] for one in first["data"]] == made[:2]
        assert (first["object"], first["has_more"]) == ("list", True)
        assert (first["first_id"], first["last_id"]) == (made[0], made[1])
        last = await api.ask("GET", f"/v1/batches?limit=2&after={made[1]}")
        assert [one["id"] for one in last["data"]] == made[2:]
        assert not last["has_more"]
        assert await api.ask("GET", f"/v1/batches?after={made[2]}") == {
            "object": "list",
            "data": [],
            "first_id": None,
            "last_id": None,
            "has_more": False,
        }

    @pytest.mark.parametrize(
        ("query", "param"),
        [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=x", "limit"),
            ("after=b", "after"),
            ("a=1", "a"),
        ],
    )
    async def test_bad_queries(self, api: BatchApi, query: str, param: str) -> None:
        assert (await api.ask("GET", f"/v1/batches?{query}", status=400))["error"]["param"] == param

    async def test_those_of_others_are_not_seen(self, api: BatchApi) -> None:
        spec = BatchSpec("blob", "x", "path", "y").to_json()
        new = [
            (LOCAL, NewJob("batch_1", "batch", "llm_engine.v1", spec, 60.0)),
            ("theirs", NewJob("batch_2", "batch", "openai", spec, 60.0)),
        ]
        for project, one in new:
            await jobs.create(api.platform, project, one)
        assert (await api.ask("GET", "/v1/batches"))["data"] == []
        for _, one in new:
            for method, path in (("GET", ""), ("POST", "/cancel")):
                found = await api.ask(method, f"/v1/batches/{one.id}{path}", status=404)
                assert found["error"]["code"] == "job_not_found"
            await api.ask("GET", f"/v1/batches?after={one.id}", status=400)


class TestOwn:
    """The same jobs in Paddock's own API."""

    async def test_jobs(self, api: BatchApi) -> None:
        made = [(await api.create())["id"] for _ in range(3)][::-1]
        first = await api.ask("GET", "/api/v1/jobs?limit=2")
        assert [job["id"] for job in first["data"]] == made[:2]
        assert first["next"] == made[1]
        last = await api.ask("GET", f"/api/v1/jobs?limit=2&after={first['next']}")
        assert ([job["id"] for job in last["data"]], last["next"]) == (made[2:], None)
        one = await api.ask("GET", f"/api/v1/jobs/{made[0]}")
        assert one == first["data"][0]
        assert (one["kind"], one["dialect"], one["state"]) == ("batch", "openai", "queued")
        assert "spec" not in one

    async def test_those_in_a_state_and_of_a_kind(self, api: BatchApi) -> None:
        queued, running, failed = [(await api.create())["id"] for _ in range(3)]
        await api.advance(running, state="running")
        await api.advance(failed, state="failed")
        for query, expected in {
            "state=queued": [queued],
            "state=running,queued": [running, queued],
            "state=completed": [],
            "kind=batch&state=failed": [failed],
            "kind=fine_tune": [],
        }.items():
            found = await api.ask("GET", f"/api/v1/jobs?{query}")
            assert [job["id"] for job in found["data"]] == expected

    @pytest.mark.parametrize(
        ("query", "param"),
        [("limit=1001", "limit"), ("state=done", "state"), ("after=x", "after"), ("q=1", "q")],
    )
    async def test_bad_queries(self, api: BatchApi, query: str, param: str) -> None:
        found = await api.ask("GET", f"/api/v1/jobs?{query}", status=400)
        assert found["error"]["param"] == param

    async def test_cancel(self, api: BatchApi) -> None:
        one = (await api.create())["id"]
        assert (await api.ask("POST", f"/api/v1/jobs/{one}/cancel"))["state"] == "cancelled"
        await api.ask("POST", f"/api/v1/jobs/{one}/cancel", status=409)
        await api.ask("POST", "/api/v1/jobs/batch_0/cancel", status=404)
        await api.ask("GET", "/api/v1/jobs/batch_0", status=404)

    async def test_events_of_one(self, api: BatchApi) -> None:
        one, other = [(await api.create())["id"] for _ in range(2)]
        await api.ask("POST", f"/v1/batches/{one}/cancel")
        found = await api.ask("GET", f"/api/v1/events?job={one}")
        assert [event["kind"] for event in found["data"]] == ["created", "cancelling", "cancelled"]
        assert {event["job"] for event in found["data"]} == {one}
        first = found["data"][0]["id"]
        after = await api.ask("GET", f"/api/v1/events?job={one}&after={first}")
        assert after["data"] == found["data"][1:]
        everything = await api.ask("GET", "/api/v1/events")
        assert {event["job"] for event in everything["data"]} == {one, other}
        await api.ask("GET", "/api/v1/events?job=batch_0", status=404)
