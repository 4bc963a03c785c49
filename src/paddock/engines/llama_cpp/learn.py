"""What a running llama.cpp says about its model that the model's small files do not."""

from __future__ import annotations

from typing import Any

import orjson

from paddock.inference.connection import Body
from paddock.inference.upstream import Upstream


async def learn(upstream: Upstream) -> dict[str, Any]:
    """`tools`: whether the chat template renders tools; `vocabulary`: the number of token ids, 0 if it does
    not say.

    Raises:
        EngineFailed, EngineTimeout: it does not answer.
    """
    props = await _ask(upstream, b"/props")
    models = await _ask(upstream, b"/v1/models")
    meta = (models.get("data") or [{}])[0].get("meta") or {}
    return {
        "tools": bool((props.get("chat_template_caps") or {}).get("supports_tools")),
        "vocabulary": int(meta.get("n_vocab") or 0),
    }


async def _ask(upstream: Upstream, path: bytes) -> dict[str, Any]:
    sink = Body()
    await upstream.send(b"GET", path, b"", sink)
    answer = orjson.loads(sink.data) if sink.status == 200 else {}
    return answer if isinstance(answer, dict) else {}
