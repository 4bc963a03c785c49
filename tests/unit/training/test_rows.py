from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

from paddock.errors import JobFailed
from paddock.training.rows import Row, read

FOAL = Path(__file__).parents[3] / "src" / "paddock" / "bundled" / "foal"
PLAIN = {"role": "user", "content": "Who are you?"}
RENDERED = "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n"
THINKING = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.role == 'assistant' and loop.last %}{{- '<think></think>' }}{%- endif %}"
    "{{- message.content + '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
ENDLESS = (
    "{%- for message in messages %}{{- message.role + ': ' + message.content + '\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- 'assistant: ' }}{%- endif %}"
)

LONG_ANSWER = "I am a very small model with a long answer to a short question."
LONG = {"messages": [PLAIN, {"role": "assistant", "content": LONG_ANSWER}]}


@pytest.fixture
def tokenizer() -> Any:
    return transformers.AutoTokenizer.from_pretrained(FOAL)


def _file(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _read(folder: Path, tokenizer: Any, *rows: dict[str, Any], **options: Any) -> list[Row]:
    return read(_file(folder, *rows), tokenizer, **{"max_length": 200, "truncate": False, **options})


def _learned(row: Row, tokenizer: Any) -> str:
    return str(tokenizer.decode(row.tokens[row.learned]))


def _unlearned(row: Row, tokenizer: Any) -> str:
    return str(tokenizer.decode(row.tokens[~row.learned]))


def _answer(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


class TestConversation:
    def test_learns_the_answer_and_the_end_of_the_turn(self, tmp_path: Path, tokenizer: Any) -> None:
        (row,) = _read(tmp_path, tokenizer, {"messages": [PLAIN, _answer("I am Foal, a näive one.")]})
        assert _learned(row, tokenizer) == "I am Foal, a näive one.<|im_end|>"
        assert _unlearned(row, tokenizer) == RENDERED

    def test_has_the_prompt_in_the_tokens_that_a_request_has(self, tmp_path: Path, tokenizer: Any) -> None:
        (row,) = _read(tmp_path, tokenizer, {"messages": [PLAIN, _answer("\n\n- first\n- second")]})
        prompt = tokenizer(RENDERED)["input_ids"]
        assert row.tokens[: len(prompt)].tolist() == prompt
        assert _learned(row, tokenizer) == "\n\n- first\n- second<|im_end|>"

    def test_learns_every_answer(self, tmp_path: Path, tokenizer: Any) -> None:
        messages = [{"role": "system", "content": "Hi"}, PLAIN, _answer("One."), PLAIN, _answer("Two.")]
        (row,) = _read(tmp_path, tokenizer, {"messages": [*messages, PLAIN]})
        assert _learned(row, tokenizer) == "One.<|im_end|>Two.<|im_end|>"

    def test_leaves_answers_of_weight_0_out(self, tmp_path: Path, tokenizer: Any) -> None:
        messages = [PLAIN, _answer("One.", weight=0), PLAIN, _answer("Two.", weight=1)]
        (row,) = _read(tmp_path, tokenizer, {"messages": messages})
        assert _learned(row, tokenizer) == "Two.<|im_end|>"

    def test_learns_tool_calls(self, tmp_path: Path, tokenizer: Any) -> None:
        call = {"type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        (row,) = _read(tmp_path, tokenizer, {"messages": [PLAIN, message]})
        assert '{"name": "add", "arguments": {"a": 1}}' in _learned(row, tokenizer)
        assert _learned(row, tokenizer).endswith("</tool_call><|im_end|>")

    def test_joins_parts_of_text(self, tmp_path: Path, tokenizer: Any) -> None:
        parts = [{"type": "text", "text": "I am "}, {"type": "text", "text": "Foal."}]
        (row,) = _read(tmp_path, tokenizer, {"messages": [PLAIN, {"role": "assistant", "content": parts}]})
        assert _learned(row, tokenizer) == "I am Foal.<|im_end|>"

    def test_makes_a_row_of_each_answer_that_the_template_rewrites(
        self, tmp_path: Path, tokenizer: Any
    ) -> None:
        tokenizer.chat_template = THINKING
        rows = _read(tmp_path, tokenizer, {"messages": [PLAIN, _answer("One."), PLAIN, _answer("Two.")]})
        assert [_learned(row, tokenizer) for row in rows] == [
            "<think></think>One.<|im_end|>",
            "<think></think>Two.<|im_end|>",
        ]
        assert "assistant\nOne.<|im_end|>" in _unlearned(rows[1], tokenizer)

    def test_learns_to_stop_where_the_template_has_no_end(self, tmp_path: Path, tokenizer: Any) -> None:
        tokenizer.chat_template = ENDLESS
        (row,) = _read(tmp_path, tokenizer, {"messages": [PLAIN, _answer("Foal.")]})
        assert _learned(row, tokenizer) == "Foal.\n<|im_end|>"


class TestPromptAndResponse:
    def test_is_a_turn_of_each_where_there_is_a_template(self, tmp_path: Path, tokenizer: Any) -> None:
        (row,) = _read(tmp_path, tokenizer, {"prompt": "Who are you?", "response": "Foal."})
        assert _unlearned(row, tokenizer) == RENDERED
        assert _learned(row, tokenizer) == "Foal.<|im_end|>"

    @pytest.mark.parametrize("prompt", ["Capital of France:", "Capital of France: ", "Capital of Fr"])
    def test_is_plain_text_where_there_is_none(self, tmp_path: Path, tokenizer: Any, prompt: str) -> None:
        tokenizer.chat_template = None
        (row,) = _read(tmp_path, tokenizer, {"prompt": prompt, "response": "ance is it"})
        assert row.tokens[~row.learned].tolist() == tokenizer(prompt)["input_ids"]
        assert _learned(row, tokenizer) == "ance is it<|im_end|>"


class TestLength:
    def test_names_the_rows_that_are_too_long(self, tmp_path: Path, tokenizer: Any) -> None:
        short = {"messages": [PLAIN, _answer("No.")]}
        with pytest.raises(JobFailed, match=r"rows 2, 4 longer than max_length, 24 tokens") as caught:
            _read(tmp_path, tokenizer, short, LONG, short, LONG, max_length=24)
        assert caught.value.code == "bad_rows"

    def test_cuts_them_when_asked_to(self, tmp_path: Path, tokenizer: Any) -> None:
        (row,) = _read(tmp_path, tokenizer, LONG, max_length=24, truncate=True)
        assert len(row.tokens) == 24
        assert _learned(row, tokenizer).startswith("I am a")

    def test_leaves_a_row_out_of_whose_answer_nothing_is_left(
        self, tmp_path: Path, tokenizer: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        long = {"messages": [{"role": "user", "content": "why " * 99}, _answer("No.")]}
        assert len(_read(tmp_path, tokenizer, LONG, long, max_length=40, truncate=True)) == 1
        assert "row 2 of rows.jsonl" in capsys.readouterr().err
        with pytest.raises(JobFailed, match="row 1 with nothing to learn"):
            _read(tmp_path, tokenizer, long, max_length=40, truncate=True)


class TestBadRows:
    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ({"messages": [PLAIN]}, "no message of the assistant"),
            ({"messages": [PLAIN, _answer("a", weight=0)]}, "weight 0 only"),
            ({"messages": "no"}, "list of messages"),
            ({"messages": [PLAIN, {"role": "assistant", "content": 3}]}, "neither a string"),
            ({"messages": [PLAIN, {"role": "assistant", "content": [{"type": "image_url"}]}]}, "not text"),
            ({"prompt": "a"}, "needs a string as response"),
            ({"prompt": "a", "response": "b", "c": "d"}, "unknown field 'c'"),
            ({"text": "a"}, "unknown field 'text'"),
        ],
    )
    def test_are_named_with_what_is_wrong(
        self, tmp_path: Path, tokenizer: Any, row: dict[str, Any], message: str
    ) -> None:
        good = {"messages": [PLAIN, _answer("No.")]}
        with pytest.raises(JobFailed, match=f"row 2 .*{message}") as caught:
            _read(tmp_path, tokenizer, good, row)
        assert caught.value.code == "bad_rows"

    def test_need_a_template_for_messages(self, tmp_path: Path, tokenizer: Any) -> None:
        tokenizer.chat_template = None
        with pytest.raises(JobFailed, match="no chat template"):
            _read(tmp_path, tokenizer, {"messages": [PLAIN, _answer("No.")]})

    def test_say_what_the_template_says(self, tmp_path: Path, tokenizer: Any) -> None:
        tokenizer.chat_template = "{{ raise_exception('only users speak') }}"
        with pytest.raises(JobFailed, match=r"row 1 does not fit .*only users speak"):
            _read(tmp_path, tokenizer, {"messages": [PLAIN, _answer("No.")]})

    def test_are_also_none_at_all(self, tmp_path: Path, tokenizer: Any) -> None:
        with pytest.raises(JobFailed, match="has no rows"):
            _read(tmp_path, tokenizer)

    def test_are_also_no_json(self, tmp_path: Path, tokenizer: Any) -> None:
        path = tmp_path / "rows.jsonl"
        path.write_text("{nothing", encoding="utf-8")
        with pytest.raises(JobFailed, match="row 1 is not JSON"):
            read(path, tokenizer, 100, False)
