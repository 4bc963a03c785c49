"""The client is usable where the server's dependencies are not installed, and starts quickly."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.unit.clients.server import Server
from tests.unit.clients.shapes import MODELS

REFUSING = """
import sys

REFUSED = {
    "aiohttp", "click", "fireworks", "gguf", "granian", "httptools", "huggingface_hub", "jinja2",
    "langchain_core", "langchain_openai", "numpy", "openai", "orjson", "ray", "requests", "rich",
    "sqlalchemy", "starlette", "torch", "transformers", "uvicorn", "uvloop", "xllamacpp",
}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Refuse())
"""


def run(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_needs_only_httpx2_and_pydantic(serve: Callable[..., Server]) -> None:
    server = serve(lambda exchange: exchange.answer(MODELS))
    program = (
        REFUSING
        + """
import asyncio
import paddock.clients.fireworks as fireworks
print(fireworks.Model.list().data[0].id, asyncio.run(fireworks.Model.alist()).data[0].id)
"""
    )
    assert run(program, FIREWORKS_API_BASE=server.url) == "foal foal"


def test_llm_engine_needs_no_more(serve: Callable[..., Server]) -> None:
    server = serve(
        lambda exchange: exchange.answer(
            {"model_endpoints": []}
            if exchange.method == "GET"
            else {"id": "file-1"}
            if exchange.path == "/v1/files"
            else {"request_id": "r", "output": {"text": "hay", "num_completion_tokens": 1}}
        )
    )
    program = (
        REFUSING
        + """
import asyncio, io
from paddock.clients.llm_engine import Completion, File, Model
print(Model.list().model_endpoints, asyncio.run(Completion.acreate("pony", "A horse eats")).output.text)
print(File.upload(io.BytesIO()).id)
"""
    )
    assert run(program, LLM_ENGINE_BASE_PATH=server.url) == "[] hay\nfile-1"


def test_cortecs_needs_no_more(serve: Callable[..., Server]) -> None:
    server = serve(lambda exchange: exchange.answer({"hardware_types": []}))
    program = (
        REFUSING
        + """
import asyncio
from paddock.clients.cortecs import AsyncCortecs, Cortecs
print(Cortecs().get_all_hardware_types(), asyncio.run(AsyncCortecs().get_available_hardware_types()))
from paddock.clients.langchain import DedicatedLLM
try:
    DedicatedLLM(Cortecs(), "paddock/foal").start_up()
except ImportError as error:
    print(error)
"""
    )
    said = "[] []\nDedicatedLLM needs LangChain: pip install langchain-openai"
    assert run(program, CORTECS_API_BASE_URL=server.url).startswith(said)


@pytest.mark.parametrize("client", ["cortecs", "fireworks", "llm_engine"])
def test_pulls_in_nothing_of_the_server(client: str) -> None:
    program = f"import sys, paddock.clients.{client}; print(*sorted(sys.modules))"
    loaded = run(program).split()
    ours = {name.split(".")[1] for name in loaded if name.startswith("paddock.")}
    assert ours <= {"clients", "errors", "schemas", "settings"}
    assert not {"asyncio", "click", "httpx2", "rich"} & set(loaded)


def test_reads_the_environment_at_import() -> None:
    program = "import paddock.clients.fireworks as f; print(f.api_key, f.base_url)"
    assert run(program, FIREWORKS_API_KEY="k", FIREWORKS_API_BASE="http://h/v1") == "k http://h/v1"
    assert run(program, FIREWORKS_API_KEY="k").split()[1] == "https://api.fireworks.ai/inference/v1"
