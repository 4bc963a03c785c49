"""One replica through the seam, on the second node of a Ray cluster: see `ray_cluster` for what is done."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paddock.runners.local import NODE, LocalRunner
from tests.process import owner
from tests.process.processes import with_variable

SECONDS = 60.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def found(folder: Path) -> Iterator[dict[str, Any]]:
    """What the scenario found. Ray's processes are one group, which is ended whatever happens."""
    # Not pytest's folder: its path is too long for Ray's sockets.
    with tempfile.TemporaryDirectory(prefix="ray-") as temporary:
        (Path(temporary) / "ray").mkdir()
        own = {name: value for name, value in os.environ.items() if not name.startswith(("PADDOCK_", "RAY_"))}
        environment = {**own, "RAY_TMPDIR": temporary, "RAY_USAGE_STATS_ENABLED": "0"}
        command = [sys.executable, "-W", "error", "-m", "tests.process.ray_cluster", str(folder)]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        ) as process:
            try:
                out, errors = process.communicate(timeout=SECONDS)
            finally:
                left = with_variable("RAY_TMPDIR", temporary)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == 0, errors
        yield {**json.loads(out.splitlines()[-1]), "left by ray": left}


class TestRayRunner:
    def test_the_replica_answers_from_the_address_that_its_node_gave_it(self, found: dict[str, Any]) -> None:
        assert found["nodes"] == 2
        assert found["address"].startswith("http://127.0.0.2:")
        assert found["answer"] == " Paris"
        assert found["facts"]["context_length"] == 256

    def test_it_was_prepared_there_and_its_steps_are_seen_here(
        self, found: dict[str, Any], folder: Path
    ) -> None:
        assert found["steps"] == ["converting", "loading"]
        assert [file.name for file in folder.iterdir()] == ["second"]
        assert list((folder / "second" / "gguf").glob("foal-*.gguf"))

    def test_nothing_above_the_seam_knows_a_path_an_address_or_a_pid(
        self, found: dict[str, Any], folder: Path
    ) -> None:
        program = pickle.dumps(owner.PROGRAM)
        assert not [part for part in (str(folder), "127.0.0.", str(Path.home())) if part.encode() in program]
        assert json.loads(found["handle"]) == {"runner": "ray", "name": "foal-on-the-second-node"}
        assert not found["ours"]

    def test_its_log_is_read_from_here(self, found: dict[str, Any]) -> None:
        assert "starting llama.cpp with foal: 2 slots of 256 tokens" in found["log"][0]
        assert "ready after" in found["log"][-1]

    def test_an_owner_that_was_started_again_adopts_it(self, found: dict[str, Any]) -> None:
        assert found["answer of the adopted"] == " Paris"
        assert found["adopted when gone"] is None

    def test_it_ends_when_it_is_stopped_and_nothing_is_left(self, found: dict[str, Any]) -> None:
        assert found["end"] == "was ended (SIGTERM)"
        assert found["left"] == []
        assert found["left by ray"] == []
        assert found["seconds"] < 40


def test_the_same_owner_with_the_local_runner(tmp_path: Path) -> None:
    async def scenario() -> None:
        runner = LocalRunner(tmp_path)
        replica = await owner.start(runner, NODE, "foal-here")
        assert await owner.ask(replica.running) == " Paris"
        assert replica.steps[-1] == "loading"
        await replica.running.stop()
        assert await replica.running.wait() == "was ended (SIGTERM)"
        await runner.close()

    asyncio.run(scenario())
