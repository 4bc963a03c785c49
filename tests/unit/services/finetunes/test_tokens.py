"""Lengths of rows are those that transformers finds."""

from __future__ import annotations

import json
import sys
from array import array
from pathlib import Path
from typing import Any

import pytest

from paddock.errors import StartupError, UnsupportedParameter
from paddock.services.finetunes.rows import Facts
from paddock.services.finetunes.template import load_template
from paddock.services.finetunes.tokens import load, too_long
from paddock.weights.resolve import resolve
from tests.unit.engines.tiny import byte_level_tokenizer
from tests.unit.services.finetunes.reading import chat, jsonl, pair, reading, told

pytest.importorskip("tokenizers", reason="counts with it")

LLAMA_3 = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b") if strftime_now is defined else "26 Jul" %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
<|start_header_id|>system<|end_header_id|>
Today: {{ date_string }} {{ {"text": system_message} | tojson }}{{ eos_token }}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {{- raise_exception('system must come first') }}
    {%- endif %}
    {%- if not message.content %}{% continue %}{% endif %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}
    {%- if message.role == 'assistant' %}
        {%- generation %}{{ message['content'] | trim + eos_token }}{% endgeneration %}
    {%- else %}
        {{- message['content'] | trim + eos_token }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"""
ROWS = [
    chat(("user", "Where do ponies sleep?"), ("assistant", 'In the barn <b>&"é".\n')),
    chat(
        ("system", 'Be <brief> & "kind".'),
        ("user", " a "),
        ("assistant", "b"),
        ("user", "c"),
        ("assistant", "d"),
    ),
    chat(("user", "<|im_end|> hello world"), ("assistant", "{{ messages }} 日本語")),
]


def checkpoint(folder: Path, **tokenizer_config: Any) -> Path:
    """What of a checkpoint says how long a row is."""
    tokenizer = byte_level_tokenizer()
    ways = ("single_word", "lstrip", "rstrip", "normalized")
    tokenizer["added_tokens"] = [{**one, **dict.fromkeys(ways, False)} for one in tokenizer["added_tokens"]]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", **tokenizer_config}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def theirs(folder: Path) -> list[list[int]]:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return [tokenizer.apply_chat_template(row["messages"], return_dict=False) for row in ROWS]


class TestCount:
    async def test_the_bundled_model_as_transformers_has_it(self) -> None:
        folder = resolve("foal").path
        found = await load(folder).count(ROWS)
        assert found.lengths == [len(ids) for ids in theirs(folder)]
        assert found.faults == {}

    async def test_a_template_like_llama_3s_as_transformers_has_it(self, tmp_path: Path) -> None:
        bos = {"__type": "AddedToken", "content": "<|im_start|>", "special": True}
        folder = checkpoint(tmp_path, bos_token=bos, chat_template=LLAMA_3)
        found = await load(folder).count(ROWS)
        assert found.lengths == [len(ids) for ids in theirs(folder)]
        template = load_template(folder)
        assert template is not None
        text = template.render(ROWS[1]["messages"])
        assert text.startswith("<|im_start|><|start_header_id|>system")
        assert '{"text": "Be <brief> & \\"kind\\"."}' in text

    async def test_the_file_of_the_template_goes_first(self, tmp_path: Path) -> None:
        folder = checkpoint(tmp_path, chat_template="{{ 'x' * 99 }}")
        (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
        # The file's own writes the prompt alone, which no token ends.
        assert (await load(folder).count([pair("hello", "b")])).lengths == [2]

    async def test_an_end_that_the_template_writes_is_not_counted_twice(self, tmp_path: Path) -> None:
        folder = checkpoint(tmp_path, chat_template="{{ messages[0].content }}{{ eos_token }}\n")
        assert (await load(folder).count([pair("hello", "b")])).lengths == [2]

    async def test_the_default_of_several_templates(self, tmp_path: Path) -> None:
        named = [{"name": "tool_use", "template": "xx"}, {"name": "default", "template": "x<|im_end|>"}]
        assert (await load(checkpoint(tmp_path, chat_template=named)).count([pair("a", "b")])).lengths == [2]

    async def test_a_prompt_is_the_chat_of_two(self) -> None:
        tokens = load(resolve("foal").path)
        one = await tokens.count([pair("Who?", "Me.")])
        assert one == await tokens.count([chat(("user", "Who?"), ("assistant", "Me."))])

    async def test_weights_do_not_count(self) -> None:
        tokens = load(resolve("foal").path)
        row = chat(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))
        plain = await tokens.count([row])
        row["messages"][1]["weight"] = 0
        assert await tokens.count([row]) == plain

    async def test_without_a_template_it_is_the_text_and_its_end(self, tmp_path: Path) -> None:
        tokens = load(checkpoint(tmp_path))
        assert (await tokens.count([pair("hello", " wor")])).lengths == [3]
        refused = await tokens.count([ROWS[0]])
        assert refused.lengths == [0]
        assert "a prompt with a response only" in refused.faults[0]

    async def test_many_rows_in_slices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("paddock.services.finetunes.tokens.AT_ONCE", 50)
        tokens = load(resolve("foal").path)
        assert (await tokens.count(ROWS * 5)).lengths == (await tokens.count(ROWS)).lengths * 5
        assert (await tokens.count([])).lengths == []


class TestWithin:
    async def test_lengths_are_in_the_facts(self) -> None:
        facts, _ = await reading(jsonl(*ROWS), counter=load(resolve("foal").path))
        assert len(facts.lengths) == 3
        assert facts.longest == max(facts.lengths)

    async def test_a_row_that_the_template_refuses(self, tmp_path: Path) -> None:
        tokens = load(checkpoint(tmp_path, chat_template=LLAMA_3))
        bad = chat(("user", "a"), ("system", "b"), ("assistant", "c"))
        facts, rows = await reading(jsonl(ROWS[0], "", bad), counter=tokens)
        assert (told(facts), rows, len(facts.lengths)) == ([("invalid_chat", "messages", 3)], [], 0)
        assert (
            "row 2 does not fit the model's chat template: system must come first"
            in facts.errors[0]["message"]
        )


class TestTooLong:
    def test_says_which(self) -> None:
        facts = Facts(4, "prompts", [], [], array("I", [2, 3, 9, 10]), array("I", [5, 50, 6, 70]))
        assert too_long(facts, 70, 100) is None
        found = too_long(facts, 20, 60)
        assert found is not None
        assert (found["code"], found["param"], found["line"]) == (
            "row_too_long",
            "hyperparameters.max_length",
            3,
        )
        assert found["message"] == (
            "2 rows are longer than 20 tokens: row 2 on line 3 has 50, row 4 on line 10 has 70; shorten them,"
            " set hyperparameters.max_length up to 60, or set hyperparameters.truncate to true, which cuts"
            " them at their end"
        )

    def test_no_more_than_a_few_are_named(self) -> None:
        facts = Facts(9, "prompts", [], [], array("I", range(9)), array("I", [9] * 9))
        found = too_long(facts, 8, 8)
        assert found is not None
        assert "row 5 on line 4 has 9 and 4 more; shorten them, or set" in found["message"]


class TestLoad:
    def test_no_tokenizer(self, tmp_path: Path) -> None:
        with pytest.raises(StartupError, match="has no tokenizer"):
            load(tmp_path)

    def test_a_broken_tokenizer(self, tmp_path: Path) -> None:
        (tmp_path / "tokenizer.json").write_text("{}")
        with pytest.raises(StartupError, match="cannot be read"):
            load(tmp_path)

    @pytest.mark.parametrize("template", ["{% if %}", 7, [{"name": "x", "template": "y"}]])
    def test_a_broken_template(self, tmp_path: Path, template: Any) -> None:
        with pytest.raises(StartupError, match="template"):
            load(checkpoint(tmp_path, chat_template=template))

    def test_without_the_library(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "tokenizers", None)
        with pytest.raises(UnsupportedParameter, match=r"pip install 'paddock\[train\]'"):
            load(tmp_path)
