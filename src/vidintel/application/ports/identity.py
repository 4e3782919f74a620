"""Who is calling."""

from typing import Protocol

from vidintel.domain.identity import Principal


class TokenVerifier(Protocol):
    def verify(self, token: str) -> Principal:
        """The caller a bearer token stands for. Raises `AuthenticationError` for anything but a good token."""
        ...
