import json
from pathlib import Path

FOLDER = Path(__file__).parents[3] / "src" / "paddock" / "bundled" / "foal"
FILES = (
    "README.md",
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)


class TestBundledModel:
    def test_has_every_file_and_no_other(self) -> None:
        assert sorted(path.name for path in FOLDER.iterdir()) == sorted(FILES)

    def test_is_at_most_16_mb(self) -> None:
        assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 16_000_000

    def test_is_a_llama_that_stops_at_the_end_of_its_turn(self) -> None:
        config = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
        tokenizer = json.loads((FOLDER / "tokenizer.json").read_text(encoding="utf-8"))
        special = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
        assert config["architectures"] == ["LlamaForCausalLM"]
        assert config["eos_token_id"] == special["<|im_end|>"]
        assert config["vocab_size"] == len(tokenizer["model"]["vocab"])
        assert tokenizer["normalizer"] is None

    def test_has_the_chat_template_of_the_sources(self) -> None:
        source = FOLDER.parents[3] / "foal" / "chat_template.jinja"
        assert (FOLDER / "chat_template.jinja").read_text(encoding="utf-8") == source.read_text(
            encoding="utf-8"
        )
