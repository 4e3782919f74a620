"""What every `TokenVerifier` does. A subclass per adapter gives the ``verifier`` and ``issue`` fixtures."""

from collections.abc import Callable

import pytest

from vidintel.domain.errors import AuthenticationError
from vidintel.domain.identity import Principal, Role, TenantId, UserId
from vidintel.presentation.http.token_verifier import TokenVerifier

Issue = Callable[[Principal], str]

PRINCIPALS = [Principal(UserId("user_alice"), TenantId("org_acme"), role) for role in Role]
BAD_TOKENS = {
    "empty": "",
    "blank": " ",
    "garbage": "garbage",
    "two parts": "eyJhbGciOiJSUzI1NiJ9.e30",
    "four parts": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln.c2ln",
    "no json inside": "eyJ4.eyJ4.eyJ4",
    "not ascii": "eyJ\u00fc.\u00fc.\u00fc",
    "lone surrogate": "eyJ\ud800.e30.c2ln",
    "null byte": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln\x00",
    "newline": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln\n",
    "huge": "eyJhbGciOiJSUzI1NiJ9." + "e30" * 1_000_000 + ".c2ln",
}


class TokenVerifierContract:
    @pytest.fixture
    def verifier(self) -> TokenVerifier:
        raise NotImplementedError

    @pytest.fixture
    def issue(self) -> Issue:
        """Makes a token that ``verifier`` takes for a principal."""
        raise NotImplementedError

    @pytest.mark.parametrize("principal", PRINCIPALS, ids=lambda principal: principal.role)
    def test_a_good_token_stands_for_its_principal(
        self, verifier: TokenVerifier, issue: Issue, principal: Principal
    ) -> None:
        assert verifier.verify(issue(principal)) == principal

    def test_a_good_token_can_be_used_again(self, verifier: TokenVerifier, issue: Issue) -> None:
        token = issue(PRINCIPALS[0])

        assert verifier.verify(token) == verifier.verify(token)

    @pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
    def test_what_is_no_token_is_refused(self, verifier: TokenVerifier, token: str) -> None:
        with pytest.raises(AuthenticationError):
            verifier.verify(token)

    def test_a_token_with_one_character_changed_is_refused(self, verifier: TokenVerifier, issue: Issue) -> None:
        token = issue(PRINCIPALS[0])
        middle = len(token) // 2
        changed = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]

        with pytest.raises(AuthenticationError):
            verifier.verify(changed)
