from __future__ import annotations

from pathlib import Path

import pytest

from paddock.weights.card import Card, read_card

README = """---
license: apache-2.0
model_name: 'A Model'
tags: [tiny, chat]
base_model:
- org/base
---
<!-- a comment -->
# A Model

[![badge](https://example.org/badge.svg)](https://example.org)

| a | table |
| --- | --- |

A **small** model that [the makers](https://example.org) made
for `tests`.

More of it.
"""


class TestReadCard:
    def test_front_matter_and_the_first_paragraph_of_prose(self, tmp_path: Path) -> None:
        (tmp_path / "README.md").write_text(README)
        card = read_card(tmp_path)
        assert card.fields == {"license": "apache-2.0", "model_name": "A Model"}
        assert card.description == "A small model that the makers made for tests."

    @pytest.mark.parametrize("text", ["", "---\n", "---\nlicense: mit\n", "# Only a heading\n", "\xff\xfe"])
    def test_nothing_is_made_up(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "README.md").write_text(text, "latin-1")
        assert read_card(tmp_path).fields == {}

    def test_a_long_paragraph_is_cut(self, tmp_path: Path) -> None:
        (tmp_path / "README.md").write_text("word " * 1000)
        assert len(read_card(tmp_path).description) <= 401
        assert read_card(tmp_path).description.endswith("word…")

    def test_no_file(self, tmp_path: Path) -> None:
        assert read_card(tmp_path) == Card()
