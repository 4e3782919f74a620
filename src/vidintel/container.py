"""The container: which adapter stands behind which port, and what each use case is given.

`vidintel.wiring` declares the providers, by the process that uses them; they are one flat container here.
"""

from dependency_injector import providers

from vidintel.settings.model import Settings
from vidintel.wiring.http import HttpWiring
from vidintel.wiring.providers import CONTAINER
from vidintel.wiring.worker import WorkerWiring


class Container(HttpWiring, WorkerWiring):
    """Everything that a process may ask for. Make one with `create_container`; override any provider in tests."""

    __self__ = CONTAINER


def create_container(settings: Settings, database_url: str) -> Container:
    """The wiring of one process."""
    return Container(settings=providers.Object(settings), database_url=providers.Object(database_url))
