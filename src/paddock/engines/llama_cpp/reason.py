"""Why llama.cpp did not start, as its log says."""

from __future__ import annotations

import re
from collections.abc import Sequence

# `0.00.005.542 E llama_model_load: `, `0.00.006.231 E srv    load_model: `
PREFIX = re.compile(r"^\d+(\.\d+){3} [A-Z] ([\w-]+ +)?[\w:]+: ")
# The first complaint is the cause, the others are those who called.
CAUSE = re.compile(r"error|unknown|unsupported|failed|couldn't|cannot|unable|invalid", re.IGNORECASE)


def explain(lines: Sequence[str]) -> str:
    """The first line that complains, without what stands before it in a log; else the last; else nothing."""
    texts = [PREFIX.sub("", line).strip() for line in lines]
    complaints = [text for text in texts if CAUSE.search(text)]
    return next(iter(complaints or reversed(texts)), "")
