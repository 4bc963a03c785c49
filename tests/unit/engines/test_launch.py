from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from paddock.engines.engine import EngineOptions
from paddock.engines.llama_cpp.child import parse
from paddock.engines.llama_cpp.launch import (
    KEY_VARIABLE,
    LlamaCppWheel,
    LlamaServer,
    choose_engine,
    connections,
    flags,
)
from paddock.errors import StartupError

OPTIONS = EngineOptions(
    weights=Path("model.gguf"),
    alias="foal",
    api_key="secret",
    context_length=512,
    slots=4,
    threads=3,
    embeddings=True,
)


class TestLaunch:
    @pytest.mark.parametrize("engine", [LlamaCppWheel(), LlamaServer(Path("llama-server"))])
    def test_the_key_is_in_the_environment_only(self, engine: LlamaCppWheel | LlamaServer) -> None:
        launch = engine.launch(OPTIONS, 1234)
        assert not [word for word in launch.argv if "secret" in word]
        assert launch.env[KEY_VARIABLE] == "secret"
        assert "secret" not in repr(launch)

    def test_each_gateway_gets_connections_of_its_own(self) -> None:
        one, three = (flags(replace(OPTIONS, gateways=number), 1234) for number in (1, 3))
        threads = [int(words[words.index("--threads-http") + 1]) for words in (one, three)]
        assert threads[1] - threads[0] == 2 * connections(OPTIONS.slots)

    def test_a_native_server_sees_the_gpus_that_it_was_given_and_no_others(self) -> None:
        server = LlamaServer(Path("llama-server"))
        given = server.launch(replace(OPTIONS, gpus=(1, 3)), 1234)
        assert given.env["CUDA_VISIBLE_DEVICES"] == "1,3"
        assert given.argv[-2:] == ["--n-gpu-layers", "999"]
        without = server.launch(OPTIONS, 1234)
        assert without.env["CUDA_VISIBLE_DEVICES"] == ""
        assert "--n-gpu-layers" not in without.argv

    def test_the_wheel_has_no_cuda_and_says_so(self) -> None:
        with pytest.raises(StartupError, match=r"CPUs only; for GPUs set llama_server"):
            LlamaCppWheel().launch(replace(OPTIONS, gpus=(0,)), 1234)

    def test_adapters_are_off_unless_asked_for_and_nothing_is_remembered_unasked(self) -> None:
        words = flags(replace(OPTIONS, adapters=(Path("/a/one.gguf"), Path("/b/two.gguf"))), 1234)
        assert words[words.index("--lora-scaled") + 1] == "/a/one.gguf:0,/b/two.gguf:0"
        assert words[words.index("--cache-ram") + 1] == "0"
        assert "--no-cache-prompt" in words
        assert not {"--lora-scaled", "--no-cache-prompt"} & set(flags(OPTIONS, 1234))

    @pytest.mark.parametrize("name", ["a,b.gguf", "a:1.gguf", 'a"b.gguf'])
    def test_an_adapters_path_that_no_flag_can_hold(self, name: str) -> None:
        with pytest.raises(StartupError, match="must have none of the characters"):
            flags(replace(OPTIONS, adapters=(Path(name),)), 1234)

    def test_a_native_server_is_used_where_one_is_set(self) -> None:
        argv = choose_engine(Path("native")).launch(OPTIONS, 1234).argv
        assert argv[0] == "native"
        assert "paddock.engines.llama_cpp.child" in choose_engine(None).launch(OPTIONS, 1234).argv


class TestChild:
    def test_it_takes_every_flag_that_llama_server_is_given(self) -> None:
        params = parse(flags(OPTIONS, 1234), "secret")
        assert params.model.path == "model.gguf"
        assert (params.port, params.n_ctx, params.n_parallel) == (1234, 2048, 4)
        assert params.cpuparams.n_threads == params.cpuparams_batch.n_threads == 3
        assert params.api_keys == ["secret"]
        assert params.model_alias == {"foal"}
        assert (params.use_jinja, params.endpoint_metrics, params.embedding, params.ui) == (
            True, True, True, False,
        )  # fmt: skip
        assert params.pooling_type == 3
        assert (params.cache_prompt, params.lora_adapters) == (True, [])

    def test_it_takes_adapters(self) -> None:
        paths = (Path("/a/one.gguf"), Path("/b/two.gguf"))
        params = parse(flags(replace(OPTIONS, adapters=paths), 1234), "secret")
        assert [(one.path, one.scale) for one in params.lora_adapters] == [(str(path), 0.0) for path in paths]
        assert (params.cache_prompt, params.cache_ram_mib) == (False, 0)

    @pytest.mark.parametrize("arguments", [["--unknown", "1"], ["--port"]])
    def test_anything_else_ends_it(self, arguments: list[str]) -> None:
        with pytest.raises(SystemExit, match="unknown flag"):
            parse(arguments, None)
