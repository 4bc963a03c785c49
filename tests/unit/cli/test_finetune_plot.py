"""The picture of a fine-tune's losses."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from paddock.cli.finetune_losses import Losses
from paddock.cli.finetune_page import page, ticks
from paddock.cli.finetune_plot import check_plot, write_plot
from paddock.errors import PaddockError, StartupError
from tests.unit.cli.test_finetune import EVENTS, MODEL, job


@pytest.fixture
def losses() -> Losses:
    found = Losses()
    found.take(EVENTS)
    return found


class TestPage:
    def test_curves_and_facts(self, losses: Losses) -> None:
        text = page(job(), losses)
        (drawing,) = re.findall(r"<svg.*</svg>", text, re.S)
        svg = ElementTree.fromstring(drawing)
        training, validation = svg.findall("polyline")
        assert len(training.attrib["points"].split()) == 3
        assert len(validation.attrib["points"].split()) == 1
        assert [one.text for one in svg.iter("title")] == ["step 60: validation loss 1.2000"]
        assert f"<th>model</th><td>{MODEL}</td>" in text
        assert "<th>training loss</th><td>0.3100</td>" in text

    def test_it_needs_nothing_else(self, losses: Losses) -> None:
        text = page(job(), losses)
        assert not re.search(r"<script|<link|@import|url\(|https?:|src=", text)
        assert "prefers-color-scheme: dark" in text

    def test_what_others_wrote_is_only_text(self, losses: Losses) -> None:
        text = page(job("failed", model="<b>\x1b", reason="<script>alert(1)</script>"), losses)
        assert "<script" not in text
        assert "<b>" not in text
        assert "&lt;b&gt;" in text

    @pytest.mark.parametrize("known", [{1: 0.5}, {1: 0.0}, {1: 0.5, 2: 0.5}, {1: 1e-9, 90_000: 1e6}])
    def test_whatever_there_is(self, known: dict[int, float]) -> None:
        (drawing,) = re.findall(r"<svg.*</svg>", page(job(), Losses(known)), re.S)
        points = ElementTree.fromstring(drawing).findall("polyline")[0].attrib["points"]
        for point in points.split():
            across, down = map(float, point.split(","))
            assert 0 <= across <= 860
            assert 0 <= down <= 420


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0.2, 2.4, [0.5, 1.0, 1.5, 2.0]),
        (1, 600, [100, 200, 300, 400, 500, 600]),
        (-1.0, 1.0, [-1.0, -0.5, 0.0, 0.5, 1.0]),
        (0.301, 0.302, [0.301, 0.3012, 0.3014, 0.3016, 0.3018, 0.302]),
    ],
)
def test_ticks(low: float, high: float, found: list[float]) -> None:
    assert ticks(low, high, 6) == pytest.approx(found)


class TestFile:
    def test_one_that_is_there_is_kept(self, tmp_path: Path, losses: Losses) -> None:
        path = tmp_path / "a.html"
        path.write_text("mine")
        with pytest.raises(StartupError, match="is there already: choose another --plot, or use --force"):
            check_plot(path, force=False)
        check_plot(path, force=True)
        write_plot(path, job(), losses)
        assert path.read_text("utf-8") == page(job(), losses)
        assert list(tmp_path.iterdir()) == [path]

    def test_png_without_matplotlib(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("paddock.cli.finetune_plot.importlib.util.find_spec", lambda name: None)
        with pytest.raises(StartupError, match=r"`pip install matplotlib`, or choose .*a\.html"):
            check_plot(tmp_path / "a.png", force=False)

    @pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")
    def test_png(self, tmp_path: Path, losses: Losses) -> None:
        path = tmp_path / "a.png"
        check_plot(path, force=False)
        write_plot(path, job(), losses)
        assert path.read_bytes().startswith(b"\x89PNG")

    def test_a_folder_that_is_gone(self, tmp_path: Path, losses: Losses) -> None:
        with pytest.raises(PaddockError, match="cannot write"):
            write_plot(tmp_path / "no" / "a.html", job(), losses)
