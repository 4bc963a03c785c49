"""Metrics on their way to Weights & Biases: the real wandb package against a server that stands in for it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from paddock.schemas.training import WANDB_KEY, Done, Evaluated, Failed, Noted, Saved, Stepped, WandbRun
from paddock.training import tracking, wandb_run
from paddock.training.tracking import Tracking
from tests import wandb_server
from tests.wandb_server import WandbServer

KEY = "0123456789abcdef0123456789abcdef01234567"
DONE = Done(step=6, epoch=2.0, training_loss=0.5, trained_tokens=99, seconds=1.0)


@pytest.fixture(scope="module")
def server() -> Iterator[WandbServer]:
    with wandb_server.running() as server:
        yield server


@pytest.fixture
def begin(
    server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Tracking, list[Noted]]]:
    def begin(key: str = KEY, **run: Any) -> tuple[Tracking, list[Noted]]:
        monkeypatch.setenv(WANDB_KEY, key)
        noted: list[Noted] = []
        given = {"id": "ft_1", "name": "shop", "project": "herd", "base_url": server.url, **run}
        return Tracking(WandbRun(**given), tmp_path, noted.append), noted

    return begin


def step(number: int) -> Stepped:
    return Stepped(
        step=number, epoch=number / 3, loss=1 / number, learning_rate=1e-3, rate=9.0, seconds_left=1.0
    )


class TestTracking:
    def test_from_the_first_step_to_the_end_and_on_again(
        self, server: WandbServer, begin: Callable[..., tuple[Tracking, list[Noted]]]
    ) -> None:
        first, noted = begin(tags=["a"], config={"epochs": 2})
        for number in (1, 2, 3):
            first.take(step(number))
        first.take(Evaluated(step=3, epoch=1.0, loss=0.7))
        first.take(Saved(step=3, name="step-3"))
        first.take(Failed(code="out_of_memory", message="too little"))
        assert [one.trouble for one in noted] == [False]
        assert noted[0].message.startswith(f"metrics go to {server.url}/somebody/herd/runs/ft_1")
        assert server.exits.pop("ft_1") == 1
        assert (server.runs["ft_1"]["project"], server.runs["ft_1"]["tags"]) == ("herd", ["a"])

        again, noted = begin()
        for number in range(2, 7):
            again.take(step(number))
        again.take(DONE)
        assert [one.trouble for one in noted] == [False]
        assert server.exits["ft_1"] == 0
        rows = server.history["ft_1"]
        assert [row["_step"] for row in rows] == [1, 2, 3, 4, 5, 6]
        assert rows[2]["train/loss"] == pytest.approx(1 / 3)
        assert rows[2]["eval/loss"] == 0.7
        assert set(rows[5]) >= {"train/learning_rate", "train/epoch", "train/rows_per_second"}
        assert server.summary["ft_1"]["trained_tokens"] == 99
        assert server.keys == {KEY}

    def test_nobody_there(
        self, begin: Callable[..., tuple[Tracking, list[Noted]]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tracking, "FINISH_SECONDS", 1.0)
        tracked, noted = begin(base_url="http://127.0.0.1:1")
        began = time.monotonic()
        for number in range(1, 4):
            tracked.take(step(number))
        assert time.monotonic() - began < 0.5
        tracked.take(DONE)
        assert time.monotonic() - began < 5.0
        assert [one.trouble for one in noted] == [True]
        assert "did not take the last metrics" in noted[0].message

    def test_a_key_that_nobody_knows(self, begin: Callable[..., tuple[Tracking, list[Noted]]]) -> None:
        tracked, noted = begin(key=wandb_server.UNKNOWN)
        tracked.take(step(1))
        tracked.take(DONE)
        assert [one.trouble for one in noted] == [True]
        assert "nothing more goes to Weights & Biases" in noted[0].message
        assert wandb_server.UNKNOWN not in noted[0].message

    def test_what_fails_in_the_package_is_told_once_and_without_the_key(
        self, begin: Callable[..., tuple[Tracking, list[Noted]]]
    ) -> None:
        tracked, noted = begin(base_url=f"no-address-{KEY}")
        for number in range(1, 4):
            tracked.take(step(number))
        tracked.take(DONE)
        assert [one.trouble for one in noted] == [True]
        assert "the learning goes on" in noted[0].message
        assert KEY not in noted[0].message


def test_the_packages_helper_stays_in_the_group_that_is_ended() -> None:
    with wandb_run._Member(["sleep", "60"], start_new_session=True) as process:
        group = os.getpgid(process.pid)
        process.kill()
    assert group == os.getpgrp()
