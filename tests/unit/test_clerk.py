"""Clerk's session tokens and the development issuer, which the same verifier takes."""

import base64
import hashlib
import hmac
import json
import socket
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.contracts.token_verifier_contract import Issue, TokenVerifierContract
from vidintel.domain.errors import AuthenticationError, ValidationError
from vidintel.domain.identity import Principal, Role, TenantId, UserId
from vidintel.infrastructure.cache.statistics import CountedCaches
from vidintel.infrastructure.identity.clerk import ClerkTokenVerifier
from vidintel.infrastructure.identity.development import DevelopmentTokenIssuer

ISSUER = "https://clerk.example.com"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC_PEM = (
    KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
)
ABSENT = object()

Claims = dict[str, Any]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> NoReturn:
        raise AssertionError("a network call was made")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def claims(**changes: object) -> Claims:
    """Those of a version 2 token of an admin; ``ABSENT`` leaves a claim out."""
    now = int(datetime.now(UTC).timestamp())
    made: Claims = {
        "v": 2,
        "iss": ISSUER,
        "sub": "user_alice",
        "sid": "sess_1",
        "sts": "active",
        "azp": "https://app.example.com",
        "iat": now,
        "nbf": now - 10,
        "exp": now + 60,
        "o": {"id": "org_acme", "slg": "acme", "rol": "admin"},
    }
    return {name: value for name, value in (made | changes).items() if value is not ABSENT}


def version_1(**changes: object) -> Claims:
    return claims(**{"v": ABSENT, "sts": ABSENT, "o": ABSENT, **changes})


def signed(made: Claims, key: rsa.RSAPrivateKey = KEY, **options: Any) -> str:
    return jwt.encode(made, key, algorithm="RS256", **options)


def verifier(*authorized_parties: str) -> ClerkTokenVerifier:
    return ClerkTokenVerifier(PUBLIC_PEM, ISSUER, authorized_parties)


def seconds_from_now(seconds: float) -> int:
    return int(datetime.now(UTC).timestamp() + seconds)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).rstrip(b"=").decode()


def signed_with_public_key_as_secret() -> str:
    """The classic: a verifier that believes the header's `alg` takes the public key for an HMAC secret."""
    message = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims())}"
    mac = hmac.new(PUBLIC_PEM.encode(), message.encode(), hashlib.sha256).digest()
    return f"{message}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def with_stripped_signature() -> str:
    return signed(claims()).rpartition(".")[0] + "."


def with_another_payload() -> str:
    header, _, signature = signed(claims()).split(".")
    return f"{header}.{part(claims(sub='user_mallory'))}.{signature}"


REFUSED: dict[str, Callable[[], str]] = {
    "expired": lambda: signed(claims(exp=seconds_from_now(-30))),
    "not yet valid": lambda: signed(claims(nbf=seconds_from_now(60))),
    "issued in the future": lambda: signed(claims(iat=seconds_from_now(60))),
    "signed with another key": lambda: signed(claims(), OTHER_KEY),
    "signature stripped": with_stripped_signature,
    "payload exchanged": with_another_payload,
    "alg none": lambda: f"{part({'alg': 'none'})}.{part(claims())}.",
    "alg none with a signature": lambda: f"{part({'alg': 'none'})}.{part(claims())}.c2ln",
    "HS256 with the public key": signed_with_public_key_as_secret,
    "RS512": lambda: jwt.encode(claims(), KEY, algorithm="RS512"),
    "PS256": lambda: jwt.encode(claims(), KEY, algorithm="PS256"),
    "unknown critical header": lambda: signed(claims(), headers={"crit": ["x"], "x": 1}),
    "embedded key of its own": lambda: signed(
        claims(), OTHER_KEY, headers={"jwk": json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(OTHER_KEY.public_key()))}
    ),
    "payload is a list": lambda: f"{part({'alg': 'RS256'})}.{part([1])}.c2ln",
    "other issuer": lambda: signed(claims(iss="https://clerk.evil.example")),
    "issuer with a slash": lambda: signed(claims(iss=ISSUER + "/")),
    "no issuer": lambda: signed(claims(iss=ABSENT)),
    "no end": lambda: signed(claims(exp=ABSENT)),
    "end is text": lambda: signed(claims(exp="tomorrow")),
    "end is infinite": lambda: signed(claims(exp=float("inf"))),
    "no user": lambda: signed(claims(sub=ABSENT)),
    "user is empty": lambda: signed(claims(sub="")),
    "user is a number": lambda: signed(claims(sub=7)),
    "user is no identifier": lambda: signed(claims(sub="user 1'; --")),
    "no session": lambda: signed(claims(sid=ABSENT)),
    "session is empty": lambda: signed(claims(sid="")),
    "session pending": lambda: signed(claims(sts="pending")),
    "no session status": lambda: signed(claims(sts=ABSENT)),
    "version 1, session pending": lambda: signed(version_1(sts="pending")),
    "organisation is text": lambda: signed(claims(o="org_acme")),
    "organisation is a list": lambda: signed(claims(o=["org_acme"])),
    "organisation is a number": lambda: signed(claims(o=1)),
    "organisation is empty": lambda: signed(claims(o={})),
    "organisation without a role": lambda: signed(claims(o={"id": "org_acme"})),
    "organisation without an id": lambda: signed(claims(o={"rol": "admin"})),
    "organisation with an unknown role": lambda: signed(claims(o={"id": "org_acme", "rol": "billing"})),
    "organisation with an odd id": lambda: signed(claims(o={"id": "org acme", "rol": "admin"})),
    "organisation named like a user": lambda: signed(claims(o={"id": "user_bob", "rol": "admin"})),
    "user named like an organisation": lambda: signed(claims(sub="org_acme", o=ABSENT)),
    "version 1, organisation without a role": lambda: signed(version_1(org_id="org_acme")),
    "version 1, organisation in the shape of version 2": lambda: signed(claims(v=ABSENT)),
    "machine token mt_": lambda: "mt_abcdefghijklmnop",
    "machine token shaped like a JWT": lambda: "mt_abc.def.ghi",
    "API key ak_": lambda: "ak_abcdefghijklmnop",
    "OAuth token oat_": lambda: "oat_abcdefghijklmnop",
    "secret key": lambda: "sk_live_abcdefghijklmnop",
}


class TestClerkTokenVerifier(TokenVerifierContract):
    @pytest.fixture
    def verifier(self) -> ClerkTokenVerifier:
        return verifier()

    @pytest.fixture
    def issue(self) -> Issue:
        return lambda principal: signed(
            claims(sub=str(principal.user_id), o={"id": str(principal.tenant_id), "rol": principal.role.value})
        )


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_a_token_with_a_fault_is_refused(make: Callable[[], str]) -> None:
    with pytest.raises(AuthenticationError):
        verifier().verify(make())


@pytest.mark.parametrize(
    ("make", "tenant", "role"),
    [
        (lambda: claims(), "org_acme", Role.ADMIN),
        (lambda: claims(o={"id": "org_acme", "rol": "editor"}), "org_acme", Role.EDITOR),
        (lambda: claims(o={"id": "org_acme", "rol": "member"}), "org_acme", Role.EDITOR),
        (lambda: claims(o={"id": "org_acme", "rol": "viewer"}), "org_acme", Role.VIEWER),
        (lambda: claims(o={"id": "org_acme", "rol": "org:viewer"}), "org_acme", Role.VIEWER),
        (lambda: claims(o=ABSENT), "user_alice", Role.ADMIN),
        (lambda: claims(o=None), "user_alice", Role.ADMIN),
        (lambda: claims(o=ABSENT, org_id="org_other", org_role="org:admin"), "user_alice", Role.ADMIN),
        (lambda: version_1(), "user_alice", Role.ADMIN),
        (lambda: version_1(org_id=None, org_role=None), "user_alice", Role.ADMIN),
        (lambda: version_1(org_id="org_acme", org_role="org:admin"), "org_acme", Role.ADMIN),
        (lambda: version_1(org_id="org_acme", org_role="org:editor"), "org_acme", Role.EDITOR),
        (lambda: version_1(org_id="org_acme", org_role="org:member"), "org_acme", Role.EDITOR),
        (lambda: version_1(org_id="org_acme", org_role="admin"), "org_acme", Role.ADMIN),
    ],
)
def test_both_versions_of_organisation_claims_give_tenant_and_role(
    make: Callable[[], Claims], tenant: str, role: Role
) -> None:
    assert verifier().verify(signed(make())) == Principal(UserId("user_alice"), TenantId(tenant), role)


@pytest.mark.parametrize("party", ["https://evil.example", ABSENT])
def test_a_token_for_another_party_is_refused_when_parties_are_named(party: object) -> None:
    token = signed(claims(azp=party))

    with pytest.raises(AuthenticationError):
        verifier("https://app.example.com").verify(token)


def test_a_token_for_a_named_party_is_good() -> None:
    assert verifier("https://app.example.com").verify(signed(claims())).role is Role.ADMIN


def test_a_remembered_token_ends_with_its_own_end() -> None:
    # Within the 5 s of skew that the SDK grants, so the token is good; but never good because it was good before.
    tested = verifier()
    token = signed(claims(exp=seconds_from_now(-2)))

    tested.verify(token)

    assert len(tested._verified) == 0


def test_it_is_counted_how_often_a_token_was_known(directory: Path) -> None:
    issuer, counted = DevelopmentTokenIssuer(directory), CountedCaches()
    tested = ClerkTokenVerifier(issuer.public_key_pem, issuer.issuer, counted=counted)
    token = issuer.issue("alice")

    for _ in range(3):
        tested.verify(token)

    assert counted.counts == {("token", "miss"): 1, ("token", "local_hit"): 2}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def development_verifier(issuer: DevelopmentTokenIssuer) -> ClerkTokenVerifier:
    return ClerkTokenVerifier(issuer.public_key_pem, issuer.issuer)


class TestDevelopmentTokens(TokenVerifierContract):
    @pytest.fixture(scope="class")
    @classmethod
    def issuer(cls, tmp_path_factory: pytest.TempPathFactory) -> DevelopmentTokenIssuer:
        return DevelopmentTokenIssuer(tmp_path_factory.mktemp("keys"))

    @pytest.fixture
    def verifier(self, issuer: DevelopmentTokenIssuer) -> ClerkTokenVerifier:
        return development_verifier(issuer)

    @pytest.fixture
    def issue(self, issuer: DevelopmentTokenIssuer) -> Issue:
        return lambda principal: issuer.issue(str(principal.user_id), str(principal.tenant_id), principal.role)


def test_a_development_token_without_an_organisation_is_for_the_users_own_tenant(directory: Path) -> None:
    issuer = DevelopmentTokenIssuer(directory)

    principal = development_verifier(issuer).verify(issuer.issue("alice", role=Role.VIEWER))

    assert principal == Principal(UserId("user_alice"), TenantId("user_alice"), Role.ADMIN)


def test_a_development_organisation_cannot_take_a_users_tenant(directory: Path) -> None:
    issuer = DevelopmentTokenIssuer(directory)

    principal = development_verifier(issuer).verify(issuer.issue("mallory", "user_alice"))

    assert principal.tenant_id == TenantId("org_user_alice")


def test_a_development_token_ends(directory: Path) -> None:
    issuer = DevelopmentTokenIssuer(directory)
    token = issuer.issue("alice", lifetime=timedelta(minutes=-1))

    with pytest.raises(AuthenticationError):
        development_verifier(issuer).verify(token)


def test_a_development_token_is_refused_beside_a_clerk_key(directory: Path) -> None:
    with pytest.raises(AuthenticationError):
        verifier().verify(DevelopmentTokenIssuer(directory).issue("alice"))


def test_a_name_that_is_no_identifier_gets_no_token(directory: Path) -> None:
    with pytest.raises(ValidationError):
        DevelopmentTokenIssuer(directory).issue("al ice")


def test_the_development_key_is_kept_and_is_the_owners_alone(directory: Path) -> None:
    token = DevelopmentTokenIssuer(directory).issue("alice")

    assert development_verifier(DevelopmentTokenIssuer(directory)).verify(token).user_id == UserId("user_alice")
    (file,) = directory.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_processes_that_start_at_once_agree_on_one_development_key(directory: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        issuers = list(pool.map(lambda _: DevelopmentTokenIssuer(directory), range(4)))

    assert len({issuer.public_key_pem for issuer in issuers}) == 1
    assert len(list(directory.iterdir())) == 1
