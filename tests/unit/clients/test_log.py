from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from paddock.clients.fireworks import set_console_log_level
from paddock.clients.fireworks.log import logger


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


class TestSetConsoleLogLevel:
    def test_prints_what_is_severe_enough(self, capsys: pytest.CaptureFixture[str]) -> None:
        for level in ("DEBUG", "error", "INFO"):
            set_console_log_level(level)
            logger.debug("a detail")
            logger.info("a retry")
            logger.error("a failure")
        assert capsys.readouterr().err.splitlines() == [
            "DEBUG paddock.clients: a detail",
            "INFO paddock.clients: a retry",
            "ERROR paddock.clients: a failure",
            "ERROR paddock.clients: a failure",
            "INFO paddock.clients: a retry",
            "ERROR paddock.clients: a failure",
        ]

    @pytest.mark.parametrize("level", ["CRITICAL", "FATAL", "ERROR", "WARN", "WARNING", "INFO", "DEBUG"])
    def test_every_documented_level(self, level: str) -> None:
        set_console_log_level(level)

    def test_unknown_level(self) -> None:
        with pytest.raises(ValueError, match="unrecognized log level LOUD"):
            set_console_log_level("LOUD")

    def test_a_lower_level_set_by_hand_stays(self) -> None:
        logger.setLevel(logging.DEBUG)
        set_console_log_level("ERROR")
        assert logger.level == logging.DEBUG
