"""Writes the OpenAPI document of the API that this version has, for the next versions to be compared with."""

import json
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dependency_injector import providers

from vidintel.container import create_container
from vidintel.presentation.http.app import create_app
from vidintel.settings.model import Settings

FOLDER = Path(__file__).parents[1] / "docs/openapi"


def document() -> dict[str, Any]:
    """What `/openapi.json` answers. Nothing is started or connected to."""
    with tempfile.TemporaryDirectory() as folder:
        container = create_container(Settings(data_dir=Path(folder)), "postgresql+asyncpg://localhost/none")
        container.verifier.override(providers.Object(None))  # a verifier needs keys, and nobody is served here
        return create_app(container.http_services()).openapi()


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    released = FOLDER / f"{version('vidintel')}.json"
    released.write_text(json.dumps(document(), indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    print(f"Wrote {released}.")


if __name__ == "__main__":
    main()
