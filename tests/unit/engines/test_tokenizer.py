from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from paddock.engines.llama_cpp.gguf.special_tokens import read_chat_templates, read_special_tokens
from paddock.engines.llama_cpp.gguf.tokenizer import TokenType, read_vocabulary
from paddock.errors import StartupError
from tests.unit.engines.tiny import byte_level_tokenizer

SENTENCEPIECE: dict[str, Any] = {
    "added_tokens": [
        {"id": 1, "content": "</s>", "special": True},
        {"id": 7, "content": "▁▁x", "special": False},
    ],
    "normalizer": {
        "type": "Sequence",
        "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "content": "▁"}],
    },
    "post_processor": {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
    },
    "model": {
        "type": "BPE",
        "byte_fallback": True,
        "unk_token": "<unk>",
        "vocab": {"<s>": 0, "</s>": 1, "<unk>": 2, "<0x41>": 3, "▁": 4, "a": 5, "▁a": 6},
        "merges": [["▁", "a"]],
    },
}


class TestByteLevel:
    def test_vocabulary_is_padded_to_the_embedding(self) -> None:
        vocabulary = read_vocabulary(byte_level_tokenizer(), 272)
        assert (vocabulary.model, vocabulary.pre, len(vocabulary.tokens)) == ("gpt2", "qwen2", 272)
        assert (vocabulary.tokens[266], vocabulary.types[266]) == ("<|im_end|>", TokenType.CONTROL)
        assert vocabulary.types[271] is TokenType.UNUSED

    def test_merges_as_pairs_are_the_same_as_strings(self) -> None:
        pairs = byte_level_tokenizer()
        pairs["model"]["merges"] = [merge.split(" ") for merge in pairs["model"]["merges"]]
        assert read_vocabulary(pairs, 272) == read_vocabulary(byte_level_tokenizer(), 272)

    def test_more_tokens_than_rows(self) -> None:
        with pytest.raises(StartupError, match="token 266, but the model only 100 rows"):
            read_vocabulary(byte_level_tokenizer(), 100)

    def test_an_unknown_pattern_is_refused_and_shown(self) -> None:
        tokenizer = byte_level_tokenizer()
        tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "[a-z]+"
        with pytest.raises(StartupError, match=r"no name for \(Split \[a-z\]\+, then ByteLevel\)"):
            read_vocabulary(tokenizer, 272)

    def test_another_kind_of_model_is_refused(self) -> None:
        with pytest.raises(StartupError, match="a WordPiece model"):
            read_vocabulary({"model": {"type": "WordPiece", "vocab": {}}}, 10)

    def test_a_normalizer_that_changes_text_is_refused(self) -> None:
        with pytest.raises(StartupError, match="normalizes text with Lowercase"):
            read_vocabulary(byte_level_tokenizer() | {"normalizer": {"type": "Lowercase"}}, 272)


class TestSentencePiece:
    def test_types_scores_and_space(self) -> None:
        vocabulary = read_vocabulary(SENTENCEPIECE, 8)
        assert (vocabulary.model, vocabulary.space_prefix) == ("llama", True)
        assert vocabulary.types[1:4] == [TokenType.CONTROL, TokenType.UNKNOWN, TokenType.BYTE]
        assert (vocabulary.tokens[7], vocabulary.types[7]) == ("  x", TokenType.USER_DEFINED)
        assert vocabulary.scores is not None
        assert vocabulary.scores[6] > vocabulary.scores[5]

    @pytest.mark.parametrize(("scheme", "prefix"), [("always", True), ("first", True), ("never", False)])
    def test_newer_files_say_it_in_the_pre_tokenizer(self, scheme: str, prefix: bool) -> None:
        newer = {"normalizer": None, "pre_tokenizer": {"type": "Metaspace", "prepend_scheme": scheme}}
        assert read_vocabulary(SENTENCEPIECE | newer, 8).space_prefix is prefix


class TestSpecialTokens:
    def test_every_end_is_kept_and_the_tokenizers_own_is_first(self) -> None:
        special = read_special_tokens(
            byte_level_tokenizer(),
            {"eos_token": {"content": "<|im_end|>"}, "pad_token": "<|endoftext|>"},
            {"eos_token_id": 264, "bos_token_id": 264},
            {"eos_token_id": [264, 266, 265]},
        )
        assert special.ends == [266, 264, 265]
        assert (special.bos, special.padding, special.add_bos) == (264, 264, False)

    def test_a_first_token_comes_from_the_post_processor(self) -> None:
        assert read_special_tokens(SENTENCEPIECE, {"bos_token": "<s>"}, {}, {}).add_bos
        settled = {"bos_token": "<s>", "add_bos_token": False}
        assert not read_special_tokens(SENTENCEPIECE, settled, {}, {}).add_bos


class TestChatTemplates:
    def test_a_list_has_names(self, tmp_path: Path) -> None:
        given = [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]
        assert read_chat_templates(tmp_path, {"chat_template": given}) == {"default": "d", "tool_use": "t"}

    def test_the_file_wins(self, tmp_path: Path) -> None:
        (tmp_path / "chat_template.jinja").write_text("file")
        assert read_chat_templates(tmp_path, json.loads('{"chat_template": "x"}')) == {"default": "file"}

    def test_none(self, tmp_path: Path) -> None:
        assert read_chat_templates(tmp_path, {}) == {}
