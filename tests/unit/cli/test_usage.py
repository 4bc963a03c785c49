from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.unit.cli.own_server import answering, refuse
from tests.unit.clients.server import Server

Run = Callable[..., tuple[int, str, str]]
Serve = Callable[..., Server]
USAGE = "GET /usage"


def counted(requests: int, amount: float, seconds: int = 0, **group: str | None) -> dict[str, Any]:
    return {
        **group,
        "requests": requests,
        "prompt_tokens": 1_000 * requests,
        "cached_tokens": 0,
        "completion_tokens": 7,
        "cost": {"amount": amount, "currency": "EUR"},
        "instance_seconds": seconds,
    }


FOUND = {
    "data": [
        counted(3, 0.00125, 7_200, key="key-1", model="foal\x1b[2J"),
        counted(1, 0, key=None, model="foal"),
    ],
    "total": counted(4, 0.00125, 7_200),
}


class TestUsage:
    def test_table(self, paddock: Run, serve: Serve) -> None:
        server = serve(answering({USAGE: FOUND}))
        code, out, err = paddock("usage", "--start", "2026-11-01", "--project", "shop")
        assert (code, err) == (0, "")
        assert [re.split(r"  +", text) for text in out.splitlines()] == [
            ["KEY", "MODEL", "REQUESTS", "PROMPT TOKENS", "CACHED", "COMPLETION TOKENS", "INSTANCES", "COST"],
            ["key-1", "foal[2J", "3", "3,000", "0", "7", "2 h", "0.0013 EUR"],
            ["-", "foal", "1", "1,000", "0", "7", "0.00 EUR"],
            ["total", "4", "4,000", "0", "7", "2 h", "0.0013 EUR"],
        ]
        path = "/api/v1/usage?group_by=key%2Cmodel&start=2026-11-01&project=shop"
        assert server.exchanges[0].path == path

    def test_one_sum(self, paddock: Run, serve: Serve) -> None:
        serve(answering({USAGE: {"data": [counted(4, 1)], "total": counted(4, 1)}}))
        _, out, _ = paddock("usage", "--group-by", "")
        assert [re.split(r"  +", text) for text in out.splitlines()] == [
            ["REQUESTS", "PROMPT TOKENS", "CACHED", "COMPLETION TOKENS", "COST"],
            ["4", "4,000", "0", "7", "1.00 EUR"],
        ]

    def test_json(self, paddock: Run, serve: Serve) -> None:
        serve(answering({USAGE: FOUND}))
        assert json.loads(paddock("usage", "--json")[1]) == FOUND

    def test_csv(self, paddock: Run, serve: Serve) -> None:
        server = serve(answering({USAGE: lambda exchange: exchange.answer(b"key,requests\r\n,1\r\n")}))
        assert paddock("usage", "-g", "key", "--csv") == (0, "key,requests\n,1\n", "")
        assert server.exchanges[0].path == "/api/v1/usage?group_by=key&format=csv"

    def test_not_both(self, paddock: Run) -> None:
        code, _, err = paddock("usage", "--csv", "--json")
        assert code == 2
        assert "exclude each other" in err

    def test_what_the_server_refuses(self, paddock: Run, serve: Serve) -> None:
        serve(answering({USAGE: refuse(400, "start must be seconds")}))
        for more in ([], ["--csv"]):
            code, out, err = paddock("usage", "--start", "x", *more)
            assert (code, out) == (1, "")
            assert "start must be seconds" in err
