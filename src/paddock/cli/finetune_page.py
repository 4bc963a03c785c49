"""A fine-tune's losses as one HTML file that needs nothing else: a curve in SVG, and facts below it."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from paddock.cli.batch_ls import done
from paddock.cli.finetune_losses import Losses, newest
from paddock.cli.output import printable
from paddock.cli.tables import moment

JSON = dict[str, Any]
WIDTH, HEIGHT = 860, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 20, 18, 46
_TICKS = 6
_STYLE = """\
  :root { color-scheme: light dark; --ink: #1d2430; --dim: #697386; --line: #dde1e8; --paper: #fff;
    --training: #2f6fb7; --validation: #c2570c; }
  @media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --dim: #949db0; --line: #333a47;
    --paper: #14181f; --training: #7fb2ee; --validation: #f0a35e; } }
  body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
    max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.25rem; } svg { width: 100%; height: auto; } text { fill: var(--dim); font-size: 12px; }
  .grid { stroke: var(--line); } .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
  .training { stroke: var(--training); } .validation { stroke: var(--validation); }
  .points .training { fill: var(--training); } .points .validation { fill: var(--validation); }
  table { border-collapse: collapse; } th { text-align: left; font-weight: normal; color: var(--dim);
    padding-right: 2rem; } td { overflow-wrap: anywhere; }
  .key { display: inline-block; width: 1em; height: 3px; vertical-align: middle; margin: 0 .4em 0 1em; }"""


def page(job: JSON, losses: Losses) -> str:
    """The whole file. Whatever others wrote is escaped in it."""
    title = _text(f"Fine-tune of {job['model']}")
    rows = "\n".join(
        f"  <tr><th>{name}</th><td>{_text(text)}</td></tr>" for name, text in _facts(job, losses)
    )
    keys = "".join(
        f'<span class="key" style="background: var(--{name})"></span>{name}'
        for name, known in (("training", losses.training), ("validation", losses.validation))
        if known
    )
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{_STYLE}
</style>
</head>
<body>
<h1>{title}</h1>
<p>Loss by step, in nats a token:{keys}</p>
{_svg(losses)}
<table>
{rows}
</table>
</body>
</html>
"""


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from `low` to `high`, about `most` at most."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    apart = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / apart - 1e-9), math.floor(high / apart + 1e-9)
    return [round(number * apart, 12) for number in range(first, last + 1)]


def _svg(losses: Losses) -> str:
    values = [*losses.training.values(), *losses.validation.values()]
    low, high = min(values), max(values)
    room = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    low, high = max(0.0, low - room) if low >= 0 else low - room, high + room
    last = max(2, losses.furthest)
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM

    def x(step: float) -> str:
        return f"{_LEFT + (right - _LEFT) * max(0.0, step - 1) / (last - 1):.1f}"

    def y(loss: float) -> str:
        return f"{bottom - (bottom - _TOP) * (loss - low) / (high - low):.1f}"

    parts = []
    for loss in ticks(low, high, _TICKS):
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y(loss)}" y2="{y(loss)}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y(loss)}" dy=".35em" text-anchor="end">{loss:g}</text>')
    for step in sorted({1.0, *(one for one in ticks(1, last, _TICKS) if one == int(one))}):
        parts.append(f'<text x="{x(step)}" y="{bottom + 20}" text-anchor="middle">{int(step):,}</text>')
    parts.append(f'<text x="{right}" y="{HEIGHT - 6}" text-anchor="end">step</text>')
    for name, known in (("training", losses.training), ("validation", losses.validation)):
        points = " ".join(f"{x(step)},{y(known[step])}" for step in sorted(known))
        parts.append(f'<polyline class="curve {name}" points="{points}"/>')
    dots = [
        f'<circle class="{name}" r="3.5" cx="{x(step)}" cy="{y(loss)}">'
        f"<title>step {step:,}: {name} loss {loss:.4f}</title></circle>"
        for name, known in _marked(losses)
        for step, loss in sorted(known.items())
    ]
    body = "\n  ".join([*parts, f'<g class="points">{"".join(dots)}</g>'])
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Losses of training and validation">'
        f"\n  {body}\n</svg>"
    )


def _marked(losses: Losses) -> list[tuple[str, dict[int, float]]]:
    """Losses that are shown as points: a curve of one alone would not be seen."""
    alone = losses.training if len(losses.training) == 1 else {}
    return [("training", alone), ("validation", losses.validation)]


def _facts(job: JSON, losses: Losses) -> list[tuple[str, str]]:
    def said(loss: float | None) -> str:
        return "" if loss is None else f"{loss:.4f}"

    best = min(losses.validation.values(), default=None)
    facts = {
        "fine-tune": str(job["id"]),
        "base": str(job["model"]),
        "model": str(job["results"].get("fine_tuned_model") or ""),
        "state": str(job["state"]),
        "reason": str(job["reason"]),
        "steps": done(job),
        "training loss": said(newest(losses.training)),
        "validation loss": said(newest(losses.validation)),
        "best validation loss": said(best),
        "created": moment(job["created_at"]),
    }
    return [(name, text) for name, text in facts.items() if text]


def _text(text: str) -> str:
    return escape(printable(text))
