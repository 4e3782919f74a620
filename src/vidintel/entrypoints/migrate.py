"""`vidintel migrate`: the newest schema for the database."""

from vidintel.entrypoints.process import database_url_of
from vidintel.infrastructure.database.migrate import upgrade
from vidintel.settings.model import Settings


def migrate_database(settings: Settings) -> None:
    """Bring the configured database, or the embedded one, to the newest schema."""
    with database_url_of(settings) as url:
        upgrade(url)
