from __future__ import annotations

import pytest

from paddock.clients.transport.events import EventParser


class TestEventParser:
    STREAM = (
        b': hello\n\ndata: {"a": "\xc3\xa4"}\n\nevent: x\ndata:1\r\ndata: 2\r\n\r\nid: 3\n\ndata: [DONE]\n\n'
    )
    EVENTS = (b'{"a": "\xc3\xa4"}', b"1\n2", b"[DONE]")

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
    def test_however_it_is_cut(self, size: int) -> None:
        parser = EventParser()
        cuts = [self.STREAM[at : at + size] for at in range(0, len(self.STREAM), size)]
        assert [event for cut in cuts for event in parser.feed(cut)] == list(self.EVENTS)
        assert parser.finish() == []

    def test_last_event_without_its_empty_line(self) -> None:
        parser = EventParser()
        assert parser.feed(b"data: 1") == []
        assert parser.finish() == [b"1"]

    def test_error_of_llama_cpp(self) -> None:
        assert EventParser().feed(b'error: {"code": 500}\n\n') == [b'{"code": 500}']
