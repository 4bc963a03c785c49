from collections.abc import Callable, Sequence
from paddock.inference.routing import Routes
from paddock.settings import Settings


class LocalModels:
    def __init__(self, settings: Settings, routes: Routes, announce: Callable[[str], None]) -> None:
        pass

    async def start(self, models: Sequence[str]) -> None:
        pass

    async def close(self) -> None:
        pass
