"""What a model's README says: the front matter of a hub's model card, and its first words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

LARGEST = 256 * 1024
LONGEST_DESCRIPTION = 400


@dataclass(frozen=True)
class Card:
    """`fields`: the single values of the front matter. `description`: the first paragraph of prose."""

    fields: dict[str, str] = field(default_factory=dict)
    description: str = ""


def read_card(folder: Path) -> Card:
    """From `README.md` in the folder; empty if there is none that can be read."""
    try:
        with (folder / "README.md").open("rb") as stream:
            text = stream.read(LARGEST).decode("utf-8", "replace")
    except OSError:
        return Card()
    front, body = "", text
    if match := re.match(r"---\s*\n(.*?\n)---\s*(\n|$)", text, re.DOTALL):
        front, body = match[1], text[match.end() :]
    pairs = re.findall(r"^([A-Za-z_]\w*):[ \t]*([^\s#\[{|>][^\n]*?)[ \t]*$", front, re.MULTILINE)
    return Card({key: value.strip("\"'") for key, value in pairs}, _first_paragraph(body))


def _first_paragraph(body: str) -> str:
    body = re.sub(r"<!--.*?-->|```.*?```", "", body, flags=re.DOTALL)
    for block in re.split(r"\n\s*\n", body):
        lines = [line.strip() for line in block.splitlines() if not line.lstrip().startswith("#")]
        text = re.sub(r"!\[[^\]]*\]\([^)]*\)|<[^>]+>", "", " ".join(lines))
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("**", "").replace("`", "").strip()
        # Lists, tables, quotes and badges say little about the model.
        if re.match(r"\w", text) and " " in text:
            return text if len(text) <= LONGEST_DESCRIPTION else text[:LONGEST_DESCRIPTION].rstrip() + "…"
    return ""
