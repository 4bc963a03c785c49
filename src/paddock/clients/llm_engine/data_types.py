"""Types of requests and of the server's answers."""

from paddock.schemas.llm_engine import *  # noqa: F403
from paddock.schemas.llm_engine import __all__ as __all__
