"""The hub's library reads the environment once, so each scenario is a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.weights.hub_stand_in import hub

CHECKPOINT = {
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "tokenizer.json": b"{}",
    "pytorch_model.bin": b"never",
    "README.md": b"never",
}
QUANTS = {
    "m-Q4_K_M.gguf": b"4",
    "m-Q8_0.gguf": b"8",
    "m-F16-00001-of-00002.gguf": b"1",
    "m-F16-00002-of-00002.gguf": b"2",
}
SCRIPT = """
import sys
from paddock.errors import StartupError
from paddock.weights.resolve import resolve
for text in sys.argv[1:]:
    try:
        model = resolve(text)
        print(model.name, model.kind, model.path.name, *sorted(file.name for file in model.path.glob("*")))
    except StartupError as error:
        print("error:", error)
"""


LOOK_UP = """
import sys
from paddock.errors import StartupError
from paddock.weights.hub import find_cached, look_up
for text in sys.argv[1:]:
    repo, _, variant = text.partition(":")
    try:
        print(*look_up(repo, None, variant or None), find_cached(repo, None, variant or None) is not None)
    except StartupError as error:
        print("error:", error)
"""
PROGRESS = """
import sys
from paddock.weights.resolve import resolve
steps = []
try:
    resolve(sys.argv[1], lambda done, total: steps.append((done, total)) or (sys.argv[2:] and 1 / 0))
except ZeroDivisionError:
    print("ended")
print(steps)
"""


def resolve(endpoint: str, home: Path, *texts: str, **environment: str) -> list[str]:
    """What each text resolved to, or `error: ...`, a line each."""
    return run(SCRIPT, endpoint, home, *texts, **environment)


def run(script: str, endpoint: str, home: Path, *texts: str, **environment: str) -> list[str]:
    """The lines that the script writes."""
    values = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), **environment}
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", script, *texts]
    done = subprocess.run(command, env=values, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


class TestFetchModel:
    def test_what_a_repository_holds_decides(self, tmp_path: Path) -> None:
        repositories = {"org/model": CHECKPOINT, "org/quants": QUANTS, "org/bin": {"pytorch_model.bin": b"x"}}
        with hub(repositories, gated={"org/gated"}) as (endpoint, downloads):
            repositories["org/gated"] = CHECKPOINT
            lines = resolve(
                endpoint,
                tmp_path,
                "org/model",
                "org/model@missing",
                "org/quants",
                "org/quants:q4_k_m",
                "org/quants:m-Q8_0.gguf",
                "org/quants:F16",
                "org/quants:Q5",
                "org/bin",
                "org/absent",
                "org/gated",
            )
        checkpoint, missing, many, q4, q8, shards, none, pickles, absent, gated = lines
        assert checkpoint == f"org/model checkpoint {'a' * 40} config.json model.safetensors tokenizer.json"
        assert "no revision 'missing'" in missing
        assert "choose one of the GGUF files of org/quants with org/quants:FILE (it holds 3)" in many
        assert q4 == "org/quants:q4_k_m gguf m-Q4_K_M.gguf"
        assert q8 == "org/quants:m-Q8_0.gguf gguf m-Q8_0.gguf"
        assert shards == "org/quants:F16 gguf m-F16-00001-of-00002.gguf"
        assert "'Q5' fits 0" in none
        assert "only PyTorch pickles" in pickles
        assert "no model org/absent, or it is private: then log in" in absent
        assert "org/gated is gated: accept its terms" in gated
        assert "m-F16-00002-of-00002.gguf" in downloads
        assert "pytorch_model.bin" not in downloads

    def test_without_a_network_the_cache_serves_or_the_error_helps(self, tmp_path: Path) -> None:
        texts = ["org/model", "org/quants:Q8_0"]
        with hub({"org/model": CHECKPOINT, "org/quants": QUANTS}) as (endpoint, _):
            online = resolve(endpoint, tmp_path, *texts)
        assert resolve(endpoint, tmp_path, *texts) == online
        (line,) = resolve(endpoint, tmp_path, "org/other")
        assert f"cannot reach {endpoint} to download org/other" in line
        assert "HF_ENDPOINT" in line
        assert "serve `foal`" in line

    def test_the_bytes_that_arrived_are_reported_and_what_is_raised_ends_it(self, tmp_path: Path) -> None:
        # The cache keeps equal files once, so these differ.
        files = {**CHECKPOINT, "tokenizer.json": b"{ }", "model.safetensors": bytes(100_000)}
        with hub({"org/model": files}) as (endpoint, _):
            (ended, _) = run(PROGRESS, endpoint, tmp_path / "one", "org/model", "stop")
            (steps,) = run(PROGRESS, endpoint, tmp_path / "two", "org/model")
            (again,) = run(PROGRESS, endpoint, tmp_path / "two", "org/model")
        assert ended == "ended"
        total = sum(len(files[name]) for name in ("config.json", "model.safetensors", "tokenizer.json"))
        assert steps.endswith(f"({total}, {total})]")
        assert again == "[]"

    def test_offline_mode_is_honoured(self, tmp_path: Path) -> None:
        (line,) = resolve("http://127.0.0.1:9", tmp_path, "org/model", HF_HUB_OFFLINE="1")
        assert "HF_HUB_OFFLINE forbids" in line

    def test_a_local_model_does_not_import_the_hubs_library(self, tmp_path: Path) -> None:
        modules = "paddock.services.models, paddock.engines.program"
        script = f"import sys, {modules}; sys.exit('huggingface_hub' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False).returncode == 0


class TestLookUp:
    def test_the_size_of_the_weights_without_fetching_them(self, tmp_path: Path) -> None:
        repositories = {"org/model": CHECKPOINT, "org/quants": QUANTS, "org/gated": CHECKPOINT}
        texts = ["org/model", "org/quants:F16", "org/quants", "org/absent", "org/gated"]
        with hub(repositories, gated={"org/gated"}) as (endpoint, downloads):
            model, shards, many, absent, gated = run(LOOK_UP, endpoint, tmp_path, *texts)
            assert downloads == []
            resolve(endpoint, tmp_path, "org/model")
            assert run(LOOK_UP, endpoint, tmp_path, "org/model") == ["org/model 7 checkpoint True"]
        assert model == "org/model 7 checkpoint False"
        assert shards == "org/quants:F16 2 gguf False"
        assert "choose one of the GGUF files" in many
        assert "no model org/absent" in absent
        assert "org/gated is gated" in gated

    def test_a_hub_that_cannot_be_reached(self, tmp_path: Path) -> None:
        (line,) = run(LOOK_UP, "http://127.0.0.1:9", tmp_path, "org/model")
        assert "cannot reach http://127.0.0.1:9 to download org/model" in line


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
