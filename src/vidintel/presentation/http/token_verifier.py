"""Who is calling."""

from typing import Protocol

from vidintel.domain.identity import Principal


class TokenVerifier(Protocol):
    def verify(self, token: str) -> Principal:
        """The caller that a bearer token identifies. Raises `AuthenticationError` unless the token is valid."""
        ...
