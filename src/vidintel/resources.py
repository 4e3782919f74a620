"""Files that ship with the project: in a source checkout beside ``src``, in an installed wheel inside the package."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def find_resource(name: str) -> Path:
    """The folder ``name`` (``alembic``, ``models``). Raises `FileNotFoundError`."""
    for candidate in (_PACKAGE / "_resources" / name, _PACKAGE.parents[1] / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"This installation lacks its folder '{name}'; install vidintel again.")
