"""``python -m vidintel``."""

from vidintel.entrypoints.cli import main

main()
