"""`paddock finetune` as a person types it, on a real server that really learns."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.server import Server, serving, until
from tests.e2e.test_terminal import paddock

JSON = dict[str, Any]
# Learning begins with seconds of imports, on a busy machine many.
LONGEST_SECONDS = 280
pytestmark = [
    pytest.mark.timeout(LONGEST_SECONDS + 20),
    pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="paddock[train] is not installed"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("finetunes")) as one:
        yield one


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.csv"
    rows = [f"What does horse {number} eat?,Horse {number} eats hay." for number in range(12)]
    path.write_text("\n".join(["prompt,response", *rows, ""]))
    return path


def started(server: Server, data: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "paddock", "finetune", str(data), "--base", "paddock/foal"),
            *("--base-url", server.url, *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fine_tunes(server: Server) -> list[JSON]:
    found: list[JSON] = json.loads(paddock(server, "finetune", "ls", "--all", "--json").stdout)
    return found


def test_from_rows_to_answers(server: Server, shop: Path) -> None:
    picture = shop.with_name("losses.html")
    command = started(server, shop, "--suffix", "shop", "--set", "epochs=1", "--plot", str(picture))
    try:
        out, err = command.communicate(timeout=LONGEST_SECONDS)
    finally:
        command.kill()
    assert command.returncode == 0, err
    model = out.strip()
    assert model.startswith("paddock/foal.shop.")
    assert f"try it: paddock chat {model} --base-url {server.url}" in err
    assert "completed: step " in err
    assert "<svg" in picture.read_text("utf-8")

    (job,) = [one for one in fine_tunes(server) if one["results"].get("fine_tuned_model") == model]
    shown = paddock(server, "finetune", "show", job["id"])
    assert shown.returncode == 0, shown.stderr
    assert "n_epochs=1" in shown.stdout
    assert "█ training" in shown.stdout
    followed = json.loads(paddock(server, "finetune", "show", job["id"], "--follow", "--json").stdout)
    assert followed["done"] == followed["total"] > 0
    assert {"step", "evaluated"} <= {event["kind"] for event in followed["events"]}

    answer = paddock(server, "chat", model, "--temperature", "0", text="What does horse 3 eat?\n")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip()


def test_ctrl_c_and_then_cancelled(server: Server, shop: Path) -> None:
    before = {job["id"] for job in fine_tunes(server)}
    command = started(server, shop, "--set", "epochs=1000")
    try:
        identity = until(lambda: {job["id"] for job in fine_tunes(server)} - before, 60).pop()
        assert command.stderr is not None
        until(lambda: f"{identity} has begun" in command.stderr.readline(), 60)  # type: ignore[union-attr]
        command.send_signal(signal.SIGINT)
        _, err = command.communicate(timeout=20)
    finally:
        command.kill()
    assert command.returncode == 130, err
    assert f"{identity} goes on without you" in err
    assert next(job for job in fine_tunes(server) if job["id"] == identity)["finished_at"] is None
    cancelled = paddock(server, "finetune", "cancel", identity)
    assert cancelled.returncode == 0, cancelled.stderr
    assert cancelled.stdout.startswith(f"{identity} is cancelled")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--set", "epoch=1"), "'epoch' is not a hyperparameter; did you mean 'epochs'"),
        (("--set", "epochs=many"), "hyperparameters.epochs must be a number above 0"),
        (("--suffix", "my shop"), "suffix must be letters, digits and hyphens"),
    ],
)
def test_what_is_refused_leaves_nothing(
    server: Server, shop: Path, options: tuple[str, ...], said: str
) -> None:
    def stored() -> list[JSON]:
        found: list[JSON] = json.loads(paddock(server, "files", "ls", "--json").stdout)
        return found

    before = stored()
    done = paddock(server, "finetune", str(shop), "--base", "paddock/foal", *options)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr.splitlines()[-1]
    assert stored() == before
