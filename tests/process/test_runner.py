"""The local runner keeps the contract of `runners.runner`, for engines and jobs alike."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import uvloop

from paddock.engines.engine import Health, Progress
from paddock.errors import StartupError
from paddock.runners.local import NODE, LocalRunner, file_name
from paddock.runners.log import ProcessLog
from paddock.runners.runner import Runner, Running
from tests.process.engine import start
from tests.process.jobs import Script
from tests.process.processes import assert_gone, marked, state, wait_for_state

SLEEP = "import time; time.sleep(60)"
ANSWERING = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path == "/health" or self.headers["Authorization"] == "Bearer key"
        self.send_response(200 if known else 401)
        self.end_headers()
    def log_message(self, *_): pass
print("listening")
http.server.HTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"""
WITH_A_CHILD = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "{SLEEP}"])
print(child.pid)
time.sleep(60)
"""
HEALTH = Health("key")


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[LocalRunner]:
    made = LocalRunner(tmp_path)
    yield made
    await made.close()


async def lines_of(process: Running, count: int) -> list[str]:
    """The first lines that it wrote itself, once there are so many."""
    async with asyncio.timeout(10):
        while True:
            lines, _ = await process.read_log(0)
            own = [line for line in lines if " paddock: " not in line]
            if len(own) >= count:
                return own
            await asyncio.sleep(0.01)


class TestStart:
    async def test_a_job_is_ready_as_soon_as_it_runs(self, runner: LocalRunner) -> None:
        job = await start(runner, Script("print('done')"))
        assert (job.address, job.facts) == ("", {"answer": 42})
        assert await job.wait() == "ended with status 0"

    async def test_an_engine_is_ready_when_it_answers_to_its_key(self, runner: LocalRunner) -> None:
        engine = await start(runner, Script(ANSWERING, HEALTH))
        assert engine.address.startswith("http://127.0.0.1:")
        assert await lines_of(engine, 1) == ["listening"]

    async def test_who_does_not_know_the_key_is_not_ours(self, runner: LocalRunner) -> None:
        with pytest.raises(StartupError, match=r"script was not ready after 0\.5 s: listening"):
            await start(runner, Script(ANSWERING, Health("another")), timeout=0.5)
        assert marked("a-process") == []

    async def test_the_steps_are_reported_in_the_owners_loop(self, runner: LocalRunner) -> None:
        loops, steps = set(), []

        def report(progress: Progress | Literal["loading"]) -> None:
            loops.add(asyncio.get_running_loop())
            steps.append(progress)

        program = Script("", preparing=0.02)
        await runner.start(program, node=NODE, name="x", timeout=5, report=report)
        assert steps == [Progress("fetching", 0, 2), Progress("fetching", 1, 2), "loading"]
        assert loops == {asyncio.get_running_loop()}

    async def test_its_own_reason_and_its_last_lines(self, runner: LocalRunner) -> None:
        script = "import sys; print(*range(30), sep='\\n'); sys.exit('no such file')"
        with pytest.raises(StartupError, match=r"could not start \(exit status 1\): no such file$") as error:
            await start(runner, Script(script, HEALTH))
        assert error.value.log == [*map(str, range(19, 30)), "no such file"]

    async def test_a_crash_while_it_starts(self, runner: LocalRunner) -> None:
        script = "import os; os.kill(os.getpid(), 9)"
        with pytest.raises(StartupError, match=r"killed while it started \(SIGKILL: most often .* memory\)$"):
            await start(runner, Script(script, HEALTH))

    async def test_what_cannot_be_prepared(self, runner: LocalRunner) -> None:
        with pytest.raises(StartupError, match="no such weights"):
            await start(runner, Script("", refusal="no such weights"))
        with pytest.raises(StartupError, match="script cannot be prepared: ZeroDivisionError"):
            await start(runner, Script("", error="a broken file"))

    async def test_an_unknown_node_is_named(self, runner: LocalRunner) -> None:
        with pytest.raises(StartupError, match="no node 'moon' here; there is 'local'"):
            await runner.start(Script(""), node="moon", name="x", timeout=5, report=lambda _: None)

    async def test_a_data_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "logs").write_text("a file")
        with pytest.raises(StartupError, match=r"cannot write the log .*choose another --data-dir"):
            await start(LocalRunner(tmp_path), Script(""))

    async def test_this_machine_is_its_only_node(self, runner: LocalRunner) -> None:
        seam: Runner = runner
        (node,) = await seam.nodes()
        assert node.name == NODE
        assert node.hardware.cores >= 1


class TestCancel:
    async def test_while_it_prepares(self, runner: LocalRunner, tmp_path: Path) -> None:
        starting = asyncio.ensure_future(start(runner, Script(SLEEP, preparing=10)))
        await asyncio.sleep(0.1)
        await cancel(starting)
        async with asyncio.timeout(2):
            while not (tmp_path / "given-up").exists():  # noqa: ASYNC110  # a thread writes it
                await asyncio.sleep(0.01)
        assert marked("a-process") == []

    @pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
    @pytest.mark.parametrize("after", [0.0, 0.001, 0.01, 0.03, 0.1, 0.3])
    def test_while_it_loads(self, tmp_path: Path, after: float, run: Callable[[Any], None]) -> None:
        async def scenario() -> None:
            runner, loading = LocalRunner(tmp_path), asyncio.Event()

            def report(_: object) -> None:
                loading.set()

            program = Script(WITH_A_CHILD, HEALTH)
            starting = asyncio.ensure_future(
                runner.start(program, node=NODE, name="cancelled", timeout=30, report=report)
            )
            await loading.wait()
            await asyncio.sleep(after)
            await cancel(starting)
            assert marked("cancelled") == []
            await runner.close()

        run(scenario())

    async def test_at_the_moment_it_is_ready(
        self, runner: LocalRunner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ready = threading.Event()

        def note(self: ProcessLog, text: str) -> None:
            if text.startswith("ready"):
                ready.set()
                time.sleep(0.1)

        monkeypatch.setattr(ProcessLog, "note", note)
        starting = asyncio.ensure_future(start(runner, Script(ANSWERING, HEALTH)))
        await asyncio.to_thread(ready.wait, 10)
        await cancel(starting)
        assert marked("a-process") == []

    async def test_the_runner_is_closed_while_it_loads(self, runner: LocalRunner) -> None:
        loading = asyncio.Event()
        starting = asyncio.ensure_future(
            runner.start(
                Script(SLEEP, HEALTH), node=NODE, name="closed", timeout=30, report=lambda _: loading.set()
            )
        )
        await loading.wait()
        await asyncio.sleep(0.1)
        await runner.close()
        with pytest.raises(StartupError):
            await starting
        assert marked("closed") == []

    async def test_too_slow_a_start(self, runner: LocalRunner) -> None:
        with pytest.raises(StartupError, match=r"not ready after 0\.5 s"):
            await start(runner, Script(WITH_A_CHILD, HEALTH), timeout=0.5)
        assert marked("a-process") == []


class TestRunning:
    async def test_it_is_seen_at_once_why_it_ended(self, runner: LocalRunner) -> None:
        for number, reason in ((9, "was killed (SIGKILL)"), (11, "crashed (SIGSEGV)")):
            process = await start(runner, Script(WITH_A_CHILD))
            (child,) = await lines_of(process, 1)
            waiting = [asyncio.ensure_future(process.wait()) for _ in range(2)]
            await asyncio.sleep(0)
            os.kill(process.pid, number)
            async with asyncio.timeout(2):
                assert [await one for one in waiting] == [reason, reason]
            assert await process.wait() == reason
            await process.stop()
            assert_gone(int(child), within=2)

    async def test_an_exit_status_of_its_own(self, runner: LocalRunner) -> None:
        process = await start(runner, Script("raise SystemExit(3)"))
        assert await process.wait() == "ended with status 3"

    async def test_who_stops_waiting_ends_nothing(self, runner: LocalRunner) -> None:
        process = await start(runner, Script(SLEEP))
        waiting = asyncio.ensure_future(process.wait())
        await asyncio.sleep(0)
        await cancel(waiting)
        assert process.status is None

    async def test_stop_asks_first_and_then_kills_the_whole_group(self, runner: LocalRunner) -> None:
        process = await start(runner, Script(WITH_A_CHILD))
        (child,) = await lines_of(process, 1)
        await process.stop()
        assert await process.wait() == "was ended (SIGTERM)"
        assert_gone(int(child), within=2)
        process = await start(runner, Script(SLEEP))
        os.kill(process.pid, signal.SIGSTOP)
        await asyncio.to_thread(wait_for_state, process.pid, "TZ", 2)
        await asyncio.gather(process.stop(grace=10), process.stop(grace=0.1))
        assert await process.wait() == "was killed (SIGKILL)"

    async def test_close_ends_all_and_lets_nothing_start(self, tmp_path: Path) -> None:
        runner = LocalRunner(tmp_path)
        processes = [await start(runner, Script(SLEEP), f"one-{n}") for n in range(3)]
        await runner.close()
        assert [process.status for process in processes] == [-signal.SIGTERM] * 3
        with pytest.raises(StartupError, match="the server is ending"):
            await start(runner, Script(SLEEP))

    async def test_secrets_are_in_the_environment_only(self, runner: LocalRunner) -> None:
        process = await start(runner, Script("import os; print(os.environ['SCRIPT_SECRET'])"))
        assert await lines_of(process, 1) == ["hush"]
        lines, _ = await process.read_log(0)
        assert not [line for line in lines if " paddock: " in line and "hush" in line]


class TestLog:
    async def test_it_is_read_while_it_grows_by_whole_lines(self, runner: LocalRunner) -> None:
        script = "import sys, time; print('one'); sys.stdout.write('tw'); time.sleep(0.2); print('o')"
        process = await start(runner, Script(script))
        await lines_of(process, 1)
        first, offset = await process.read_log(0)
        await process.wait()
        second, end = await process.read_log(offset)
        assert "paddock: starting a script" in first[0]
        assert first[-1] == "one"
        assert second == ["two"]
        assert await process.read_log(end) == ([], end)

    async def test_each_start_begins_anew_and_the_one_before_is_kept(
        self, runner: LocalRunner, tmp_path: Path
    ) -> None:
        for word in ("first", "second"):
            process = await start(runner, Script(f"print('{word}')"), "org/foal")
            await process.wait()
            assert await lines_of(process, 1) == [word]
        assert "first" in (tmp_path / "logs" / (file_name("org/foal") + ".1")).read_text()


class TestAdopt:
    async def test_what_is_left_of_a_killed_owner_is_ended(self, runner: LocalRunner, tmp_path: Path) -> None:
        with left_over("left-1", tmp_path) as (leader, child):
            assert state(child) not in ("Z", None)
            handle = json.dumps({"runner": "local", "name": "left-1", "pid": leader})
            assert await runner.adopt(handle) is None
            assert_gone(child, within=0)

    async def test_what_is_not_ours_is_not_touched(self, runner: LocalRunner, tmp_path: Path) -> None:
        with left_over("left-2", tmp_path) as (leader, child):
            for handle in (
                json.dumps({"runner": "local", "name": "left-3", "pid": leader}),
                json.dumps({"runner": "local", "name": "left-2", "pid": child}),
                json.dumps({"runner": "ray", "name": "left-2", "pid": leader}),
                "not a handle",
                "{}",
            ):
                assert await runner.adopt(handle) is None
            assert state(child) not in ("Z", None)

    async def test_its_own_process_stays_its_own(self, runner: LocalRunner) -> None:
        process = await start(runner, Script(SLEEP))
        assert await runner.adopt(process.handle) is process
        assert process.status is None


async def cancel(task: asyncio.Future[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


OWNER = """
import asyncio, sys
from pathlib import Path
from paddock.runners.local import LocalRunner
from tests.process.engine import start
from tests.process.jobs import Script
from tests.process.test_runner import WITH_A_CHILD, lines_of

async def main():
    process = await start(LocalRunner(Path(sys.argv[2])), Script(WITH_A_CHILD), sys.argv[1])
    print(process.pid, *await lines_of(process, 1), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@contextlib.contextmanager
def left_over(name: str, folder: Path) -> Iterator[tuple[int, int]]:
    """A job's process, dead with its owner, and the child that it left: their pids."""
    arguments = [sys.executable, "-c", OWNER, name, str(folder / "owner")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        leader, child = map(int, owner.stdout.readline().split())
        owner.kill()
    assert_gone(leader, within=2)
    try:
        yield leader, child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
