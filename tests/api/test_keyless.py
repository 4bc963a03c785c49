"""A gateway that wants no keys: web pages are kept off."""

from __future__ import annotations

from typing import Any

import pytest

from paddock.services.keys import PASSER_BY
from tests.api.gateway import CHAT, serving

EVIL = {"origin": "https://evil.example"}


async def test_web_pages() -> None:
    async with serving() as gateway:
        for headers, code in ((EVIL, "origin_not_allowed"), ({"host": "a.example"}, "host_not_allowed")):
            answer = await gateway.post("/v1/chat/completions", CHAT, headers=headers)
            assert answer.status_code == 403
            assert answer.json()["error"]["code"] == code
            assert (await gateway.client.get("/metrics", headers=headers)).status_code == 403
            assert (await gateway.client.get("/healthz", headers=headers)).status_code == 200
            models = await gateway.client.get("/readyz", headers=headers)
            assert "stub" not in models.text
        assert (
            await gateway.client.get("/v1/models", headers={"origin": "http://localhost:3000"})
        ).is_success


@pytest.mark.parametrize(
    ("settings", "headers"),
    [
        ({"allow_anonymous": True}, {**EVIL, "host": "a.example"}),
        ({"public_url": "https://a.example"}, {"origin": "https://a.example", "host": "a.example"}),
    ],
)
async def test_what_the_operator_opens(settings: dict[str, Any], headers: dict[str, str]) -> None:
    async with serving(**settings) as gateway:
        assert (await gateway.client.get("/v1/models", headers=headers)).status_code == 200


async def test_who_passes_by_is_no_admin() -> None:
    async with serving(host="0.0.0.0", allow_anonymous=True) as gateway:
        assert gateway.app.keyring.anybody is PASSER_BY
        answer = await gateway.client.get("/metrics")
        assert answer.status_code == 403
        assert "without a key: it needs one with the scope 'admin'" in answer.text
        assert (await gateway.client.get("/v1/models")).status_code == 200
