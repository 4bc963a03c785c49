"""`paddock keys` and `paddock projects`: against a server, and on a store without one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import pytest

from paddock.cli.keys_options import amount, count, end, span
from paddock.cli.keys_shown import limits
from tests.unit.cli.own_server import CREATED, answering, refuse
from tests.unit.clients.server import Server

Run = Callable[..., tuple[int, str, str]]
Serve = Callable[..., Server]
JSON = dict[str, Any]
NO_LIMITS = {
    "requests_per_minute": None,
    "tokens_per_minute": None,
    "concurrent_requests": None,
    "budget": None,
    "budget_period": None,
}


def key(**more: Any) -> JSON:
    return {
        "id": "key-1",
        "name": "Ann",
        "project": "shop",
        "scopes": ["inference", "manage"],
        "models": [],
        "limits": NO_LIMITS,
        "hint": "wxyz",
        "created_at": CREATED,
        "expires_at": None,
        "revoked_at": None,
        **more,
    }


SHOWN = key(secret="paddock_secretwxyz")


class TestOptions:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("0s", 0), ("90s", 90), ("15m", 900), ("24H", 86_400), (" 2w ", 14 * 86_400), ("30d", 30 * 86_400)],
    )
    def test_span(self, text: str, seconds: float) -> None:
        assert span(text) == seconds

    @pytest.mark.parametrize("text", ["", "1", "d", "-1d", "1.5h", "1y", "999999999999s", "31d"])
    def test_no_span(self, text: str) -> None:
        with pytest.raises(click.BadParameter):
            span(text)

    def test_end(self) -> None:
        assert end("never") == 0.0
        assert abs(end("30d") - time.time() - 30 * 86_400) < 60
        assert end("2030-12-31") == datetime(2031, 1, 1).timestamp()
        assert end("2030-12-31T18:00") == datetime(2030, 12, 31, 18).timestamp()
        assert end("2030-12-31T18:00Z") == 1924970400.0

    @pytest.mark.parametrize("text", ["", "soon", "2030-13-01", "1e9", "9999-12-31", "0001-01-01"])
    def test_no_end(self, text: str) -> None:
        with pytest.raises(click.BadParameter, match="such as 30d"):
            end(text)

    def test_limits(self) -> None:
        assert (count("none"), count("600"), amount("none"), amount("0.5")) == ("none", 600, "none", 0.5)

    @pytest.mark.parametrize("text", ["", "1.5", "-1", "many", "1e3", "٣", "9" * 5000])
    def test_no_count(self, text: str) -> None:
        with pytest.raises(click.BadParameter, match="a whole number, or none for no limit"):
            count(text)

    @pytest.mark.parametrize("text", ["", "-1", "much", "nan", "inf"])
    def test_no_amount(self, text: str) -> None:
        with pytest.raises(click.BadParameter, match="an amount, or none for no limit"):
            amount(text)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, ""),
        (
            {"requests_per_minute": 6000, "tokens_per_minute": 9, "concurrent_requests": 2},
            "6,000 requests/min, 9 tokens/min, 2 at once",
        ),
        ({"budget": 2.5, "budget_period": "month"}, "2.5 a month"),
        ({"budget": 1000.0, "budget_period": "total"}, "1,000 in total"),
    ],
)
def test_limits_as_they_are_shown(given: JSON, text: str) -> None:
    assert limits({**NO_LIMITS, **given}) == text


class TestCreate:
    def test_only_the_secret_is_on_standard_output(self, paddock: Run, serve: Serve) -> None:
        server = serve(answering({"POST /keys": SHOWN}))
        code, out, err = paddock("keys", "create", "--name", "Ann", "--api-key", "paddock_admin")
        assert (code, out) == (0, "paddock_secretwxyz\n")
        assert err == (
            "key-1 is made for Ann in project shop, good for inference and manage. Keep it safe: it is not"
            " shown again.\n"
        )
        asked = server.exchanges[0]
        assert asked.json() == {"name": "Ann"}
        assert asked.headers["authorization"] == "Bearer paddock_admin"

    def test_all_options(self, paddock: Run, serve: Serve) -> None:
        server = serve(answering({"POST /keys": SHOWN}))
        words = "--project shop --scope inference --scope admin --model a/* --model b --rpm 5 --tpm 6"
        more = "--concurrency 7 --budget 8.5 --budget-period day --expires 2030-12-31 --json"
        code, out, err = paddock("keys", "create", "--name", "Ann", *words.split(), *more.split())
        assert (code, json.loads(out), err) == (0, SHOWN, "")
        assert server.exchanges[0].json() == {
            "name": "Ann",
            "project": "shop",
            "scopes": ["inference", "admin"],
            "models": ["a/*", "b"],
            "limits": {
                "requests_per_minute": 5,
                "tokens_per_minute": 6,
                "concurrent_requests": 7,
                "budget": 8.5,
                "budget_period": "day",
            },
            "expires_at": datetime(2031, 1, 1).timestamp(),
        }

    def test_is_not_sent_twice(self, paddock: Run, serve: Serve) -> None:
        """A second one would be a second key."""
        server = serve(lambda exchange: exchange.hang_up())
        assert paddock("keys", "create", "--name", "Ann")[0] == 1
        assert len(server.exchanges) == 1

    def test_who_has_no_key_yet_is_told_where_the_first_comes_from(self, paddock: Run, serve: Serve) -> None:
        serve(answering({"POST /keys": refuse(401, "this server asks for an API key")}))
        code, out, err = paddock("keys", "create", "--name", "Ann")
        assert (code, out) == (1, "")
        assert err == (
            "paddock: this server asks for an API key. Give a key with --api-key or PADDOCK_API_KEY. The"
            " first key is made by who runs the server, on its machine: `paddock keys create --name NAME"
            " --scope admin --data-dir FOLDER`\n"
        )

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ([], "Missing option '--name'"),
            (["--name", "a", "--scope", "root"], "'root' is not one of"),
            (["--name", "a", "--rpm", "many"], "must be a whole number, or none for no limit"),
            (["--name", "a", "--expires", "soon"], "such as 30d, a date such as 2030-12-31"),
            (["--name", "a", "--data-dir", "x", "--base-url", "http://x"], "Give one of them"),
            (["--name", "a", "--database-url", "x", "--api-key", "x"], "Give one of them"),
        ],
    )
    def test_usage(self, options: list[str], said: str, paddock: Run) -> None:
        code, out, err = paddock("keys", "create", *options)
        assert (code, out) == (2, "")
        assert said in err


class TestOthers:
    def test_ls(self, paddock: Run, serve: Serve) -> None:
        now = time.time()
        found = [
            key(created_at=now - 30),
            key(id="key-2", name="Bo\x1b[2J", models=["a", "b/*"], revoked_at=now, created_at=now - 30),
            key(id="key-3", expires_at=now - 1, limits={**NO_LIMITS, "requests_per_minute": 5}),
        ]
        server = serve(answering({"GET /keys": {"data": found}}))
        out = paddock("keys", "ls", "--project", "shop", "--revoked")[1]
        assert server.exchanges[0].path == "/api/v1/keys?revoked=true&project=shop"
        rows = [re.split(r"  +", line) for line in out.splitlines()]
        assert rows[0] == ["ID", "NAME", "PROJECT", "SCOPES", "MODELS", "LIMITS", "SECRET", "AGE", "STATE"]
        assert rows[1] == ["key-1", "Ann", "shop", "inference, manage", "…wxyz", "30 s"]
        assert rows[2][:2] == ["key-2", "Bo[2J"]
        assert (rows[2][4], rows[2][-1]) == ("a, b/*", "revoked")
        assert (rows[3][4], rows[3][-1]) == ("5 requests/min", "expired")
        assert json.loads(paddock("keys", "ls", "--json")[1]) == found
        assert server.exchanges[1].path == "/api/v1/keys"

    def test_ls_of_none(self, paddock: Run, serve: Serve) -> None:
        serve(answering({"GET /keys": {"data": []}}))
        code, out, err = paddock("keys", "ls")
        assert (code, out) == (0, "")
        assert "make one with `paddock keys create" in err

    def test_set(self, paddock: Run, serve: Serve) -> None:
        server = serve(answering({"PATCH /keys/key-1": key()}))
        options = "--name Bob --scope manage --model * --rpm none --budget 3 --expires never"
        code, out, err = paddock("keys", "set", "key-1", *options.split())
        assert (code, err, out.splitlines()[0]) == (0, "", "key-1")
        assert server.exchanges[0].json() == {
            "name": "Bob",
            "scopes": ["manage"],
            "models": [],
            "limits": {"requests_per_minute": None, "budget": 3.0},
            "expires_at": None,
        }
        assert json.loads(paddock("keys", "set", "key-1", "--name", "Bob", "--json")[1]) == key()
        assert "at least one option" in paddock("keys", "set", "key-1")[2]

    def test_rotate(self, paddock: Run, serve: Serve) -> None:
        server = serve(answering({"POST /keys/key-1/rotate": SHOWN}))
        code, out, err = paddock("keys", "rotate", "key-1")
        assert (code, out) == (0, "paddock_secretwxyz\n")
        assert "the one before works no more" in err
        assert "works until" in paddock("keys", "rotate", "key-1", "--keep-old", "24h")[2]
        assert [each.json() for each in server.exchanges] == [
            {"keep_old_seconds": 0.0},
            {"keep_old_seconds": 86_400.0},
        ]
        assert "may be up to 30d" in paddock("keys", "rotate", "key-1", "--keep-old", "31d")[2]

    def test_revoke_goes_on_after_one_that_fails(self, paddock: Run, serve: Serve) -> None:
        serve(answering({"POST /keys/key-1/revoke": key(revoked_at=CREATED)}))
        code, out, err = paddock("keys", "revoke", "a/b", "", "key-1")
        assert (code, out) == (1, "key-1 (Ann) is revoked\n")
        assert err.splitlines() == [
            "paddock: there is no POST /keys/a%2Fb/revoke",
            "paddock: the id of a key must not be empty",
        ]

    def test_projects(self, paddock: Run, serve: Serve) -> None:
        shop = {"name": "shop", "limits": {**NO_LIMITS, "requests_per_minute": 5}, "created_at": CREATED}
        server = serve(answering({"GET /projects": {"data": [shop]}, "PATCH /projects/shop": shop}))
        assert paddock("projects", "ls")[1].splitlines()[1].startswith("shop  5 requests/min  ")
        assert json.loads(paddock("projects", "ls", "--json")[1]) == [shop]
        said = paddock("projects", "set", "shop", "--rpm", "5", "--budget", "none")
        assert said == (0, "shop: 5 requests/min\n", "")
        assert server.exchanges[2].json() == {"limits": {"requests_per_minute": 5, "budget": None}}
        assert "at least one limit" in paddock("projects", "set", "shop")[2]


class TestStore:
    def test_a_keys_life(self, paddock: Run, tmp_path: Path) -> None:
        where = ("--data-dir", str(tmp_path / "new" / "data"))

        def asked(*words: str) -> Any:
            code, out, err = paddock(*words, "--json", *where)
            assert (code, err) == (0, "")
            return json.loads(out)

        made = asked("keys", "create", "--name", "Ann", "--project", "shop", "--rpm", "5")
        shown = {name: value for name, value in made.items() if name != "secret"}
        assert made["secret"].startswith("paddock_")
        assert made["secret"].endswith(made["hint"])
        assert asked("keys", "ls") == [shown]
        assert asked("keys", "ls", "--project", "farm") == []
        assert asked("keys", "show", made["id"]) == shown
        changed = asked("keys", "set", made["id"], "--rpm", "none", "--scope", "inference")
        assert (changed["scopes"], changed["limits"]) == (["inference"], NO_LIMITS)
        again = asked("keys", "rotate", made["id"], "--keep-old", "1h")
        assert again["secret"] != made["secret"]
        assert [one["name"] for one in asked("projects", "ls")] == ["shop"]
        limited = asked("projects", "set", "shop", "--budget", "5")
        assert limited["limits"]["budget"] == 5.0
        assert paddock("keys", "revoke", made["id"], *where)[1] == f"{made['id']} (Ann) is revoked\n"
        assert asked("keys", "ls") == []
        assert asked("keys", "ls", "--revoked")[0]["revoked_at"] is not None

    def test_refusals(self, paddock: Run, tmp_path: Path) -> None:
        where = ("--data-dir", str(tmp_path))
        code, _, err = paddock("keys", "ls", *where)
        assert code == 2
        assert "there is no store at" in err
        assert not (tmp_path / "paddock.db").exists()
        assert paddock("keys", "create", "--name", "a", "--rpm", "0", *where)[0] == 1
        code, _, err = paddock("keys", "show", "key-1", *where)
        assert (code, err) == (1, "paddock: there is no key 'key-1'\n")
        code, _, err = paddock("keys", "ls", "--database-url", "mysql://x")
        assert code == 2
        assert "postgresql://" in err

    def test_who_asks_a_server_does_not_wait_for_the_store(self) -> None:
        program = (
            "import sys; from paddock.cli import main; main(['keys', 'ls', '--base-url', 'http://127.0.0.1:9']);"
            " main(['projects', '-h']); print(*sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        loaded = done.stdout.split()
        assert "paddock.cli.keys_api" in loaded
        assert not {"sqlalchemy", "paddock.services", "paddock.main"} & set(loaded)
