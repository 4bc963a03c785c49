"""The API reference as a browser shows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paddock.inference.routing import Directory
from paddock.main.front import build_gateway
from paddock.settings import Settings
from tests.browser.chromium import Page, dump_dom, find

BINARY = find()
pytestmark = pytest.mark.skipif(
    BINARY is None, reason="there is no Chromium; on Debian: apt-get install chromium"
)


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    _, http = build_gateway(Settings(access_log=False), Directory())
    port = await http.listen("127.0.0.1", 0)
    try:
        assert BINARY is not None
        html = await asyncio.to_thread(dump_dom, BINARY, f"http://127.0.0.1:{port}/docs", tmp_path)
        yield Page(html)
    finally:
        await http.close()


class TestDocs:
    async def test_every_route_is_there_with_its_fields_and_an_example(self, page: Page) -> None:
        codes = page.texts["code"]
        for mount in ("/v1", "/inference/v1"):
            for path in ("/models", "/models/{model}", "/chat/completions", "/completions", "/embeddings"):
                assert mount + path in codes
        assert {"/healthz", "/readyz", "/metrics", "/docs"} <= set(codes)
        assert {"messages", "temperature", "tool_choice", "stream_options"} <= set(codes)
        assert any("curl" in text and "What is the capital of France?" in text for text in page.texts["pre"])

    async def test_each_dialect_can_be_gone_to(self, page: Page) -> None:
        assert {"#v1", "#inference-v1"} <= set(page.addresses)

    async def test_nothing_comes_from_elsewhere(self, page: Page) -> None:
        assert all(address.startswith(("/", "#")) for address in page.addresses)
