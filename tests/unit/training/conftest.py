"""Fine-tunes need what `paddock[train]` installs."""

from __future__ import annotations

import importlib.util

collect_ignore_glob = (
    ["test_*.py"]
    if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers", "peft"))
    else []
)
