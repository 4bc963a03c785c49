from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from paddock.engines.engine import Progress, Site
from paddock.engines.program import EngineProgram
from paddock.errors import StartupError
from paddock.weights.needs import OVERHEAD
from tests.unit.engines.tiny import write_llama

PROGRAM = EngineProgram("models://org/tiny", "mine", "secret", context_length=256, slots=3)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    folder = write_llama(tmp_path / "models" / "org" / "tiny")
    defaults = {"temperature": 0.7, "repetition_penalty": 1.1, "do_sample": True, "top_k": True}
    (folder / "generation_config.json").write_text(json.dumps(defaults))
    return Site(tmp_path)


class TestEngineProgram:
    def test_it_travels_and_keeps_its_secret(self) -> None:
        assert pickle.loads(pickle.dumps(PROGRAM)) == PROGRAM
        assert "secret" not in repr(PROGRAM)

    def test_what_is_converted_stays_on_the_site_and_is_reported(self, site: Site) -> None:
        steps: list[Progress] = []
        prepared = PROGRAM.prepare(site, steps.append)
        assert {step.step for step in steps} == {"converting"}
        assert steps[-1].done == steps[-1].total
        assert prepared.options.weights.parent == site.data_dir / "gguf"
        PROGRAM.prepare(site, lambda _: pytest.fail("it is there already"))

    def test_the_facts_are_json_and_tell_what_was_chosen(self, site: Site) -> None:
        prepared = PROGRAM.prepare(site, lambda _: None)
        facts = json.loads(json.dumps(prepared.facts))
        memory = facts.pop("memory")
        assert facts == {
            "context_length": 256,
            "slots": 3,
            "connections": 11,
            "generates": True,
            "embeds": False,
            "sampling": {"temperature": 0.7, "repeat_penalty": 1.1},
            "adapters": {},
        }
        assert memory > OVERHEAD + 3 * 256 * 256
        assert "secret" not in prepared.title
        assert prepared.title.startswith("llama.cpp with mine: 3 slots of 256 tokens")

    def test_the_launch_listens_where_the_runner_says(self, site: Site) -> None:
        argv = PROGRAM.prepare(site, lambda _: None).launch("10.0.0.7", 4711).argv
        assert argv[argv.index("--host") + 1] == "10.0.0.7"
        assert argv[argv.index("--port") + 1] == "4711"

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"model": "models://org/gone"}, "no model 'org/gone'"),
            ({"engine": "vllm"}, "'vllm' is not known; known is llama.cpp"),
            ({"context_length": 1000}, "512 tokens of context, not 1000"),
        ],
    )
    def test_what_cannot_be_prepared_says_why(
        self, site: Site, changes: dict[str, object], reason: str
    ) -> None:
        with pytest.raises(StartupError, match=reason):
            replace(PROGRAM, **changes).prepare(site, lambda _: None)  # type: ignore[arg-type]

    def test_gpus_need_a_native_server(self, site: Site) -> None:
        prepared = replace(PROGRAM, gpus=(0,)).prepare(site, lambda _: None)
        with pytest.raises(StartupError, match="CPUs only"):
            prepared.launch("127.0.0.1", 1)
