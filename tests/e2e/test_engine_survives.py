"""What callers may send that would end or hang llama.cpp if it got it as it is."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.e2e.server import Server

CHAT = {"model": "foal", "messages": [{"role": "user", "content": "How old is the horse?"}], "max_tokens": 40}
BOUNDS = {"type": "integer", "minimum": 5, "maximum": 3}
ITEMS = {"type": "array", "items": {"type": "string"}, "minItems": 3, "maxItems": 1}
MANY = {"enum": [f"value {number}" for number in range(20_000)]}


def formatted(schema: dict[str, Any]) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}


def tool(schema: dict[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"age": schema}, "required": ["age"]}
    return {"tools": [{"type": "function", "function": {"name": "tell", "parameters": parameters}}]}


class TestEngineSurvives:
    @pytest.mark.parametrize(
        ("extra", "field"),
        [
            (formatted(BOUNDS), "response_format"),
            (formatted(ITEMS), "response_format"),
            ({"grammar": "root ::= [z-a]"}, "grammar"),
            ({"grammar": 'root ::= "a" root2\nroot2 ::= root2 "b" | "b"{3,1}'}, "grammar"),
            ({"grammar": 'root ::= "a"', "ignore_eos": True}, "ignore_eos"),
            ({**tool(BOUNDS), "tool_choice": "required"}, "tools"),
            (tool(MANY), "tools"),
        ],
        ids=["bounds", "items", "dead end", "endless", "ignore_eos", "forced tool", "large tool"],
    )
    def test_what_it_would_not_survive_is_refused(
        self, foal: Server, extra: dict[str, Any], field: str
    ) -> None:
        answer = httpx2.post(f"{foal.url}/v1/chat/completions", json={**CHAT, **extra}, timeout=30)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["param"].startswith(field)

    def test_tools_that_it_would_not_survive_lose_their_bounds(self, foal: Server) -> None:
        before = foal.engines()
        body = {**CHAT, **tool(BOUNDS), "tool_choice": "auto"}
        answer = httpx2.post(f"{foal.url}/v1/chat/completions", json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        assert foal.engines() == before
