"""Logging to the console: requests (DEBUG) and retries (INFO). No key and no text of a request is logged."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

logger = logging.getLogger("paddock.clients")

_NAME_TO_LEVEL = {
    "CRITICAL": logging.CRITICAL,
    "FATAL": logging.FATAL,
    "ERROR": logging.ERROR,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "INFO": logging.INFO,
    "DEBUG": logging.DEBUG,
}


def set_console_log_level(level: str) -> None:
    """Controls console logging: from the first call on, this client's messages are printed to stderr.

    Args:
        level: the minimum level that prints out to console.
            Supported values: [CRITICAL, FATAL, ERROR, WARN, WARNING, INFO, DEBUG]

    Raises:
        ValueError: the level is none of these.
    """
    number = _NAME_TO_LEVEL.get(level.upper())
    if number is None:
        raise ValueError(f"unrecognized log level {level}. Supported values are {list(_NAME_TO_LEVEL)}")
    _console.setLevel(number)
    if _console not in logger.handlers:
        logger.addHandler(_console)
    # A logger that someone set to a lower level, for a file of theirs, stays there.
    if logger.getEffectiveLevel() > number:
        logger.setLevel(number)


class _Console(logging.StreamHandler[TextIO]):
    # `sys.stderr` at the time of writing, not of importing: programs and tests replace it.
    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        pass


_console = _Console()
_console.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
