"""``python -m vidintel``."""

from vidintel.presentation.cli import main

main()
