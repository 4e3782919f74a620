"""Session tokens for development, in Clerk's format: signed with a local key, verified by the same verifier."""

import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from vidintel.domain.identity import Role, TenantId, UserId

DEVELOPMENT_ISSUER = "https://development.vidintel.invalid"
DEFAULT_LIFETIME = timedelta(hours=12)
_KEY_FILE = "development-signing-key.pem"


class DevelopmentTokenIssuer:
    """Signs tokens with the RSA key under ``directory``, which is made (readable by its owner only) when missing.

    Anyone who can read that file can sign in as any user, so only `vidintel serve` uses it.
    """

    def __init__(self, directory: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._key = _load_or_create(directory / _KEY_FILE)
        self._now = now

    @property
    def issuer(self) -> str:
        return DEVELOPMENT_ISSUER

    @property
    def public_key_pem(self) -> str:
        """What the verifier needs."""
        return (
            self._key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    def issue(
        self, user: str, org: str | None = None, role: Role = Role.ADMIN, lifetime: timedelta = DEFAULT_LIFETIME
    ) -> str:
        """A session token (Clerk's version 2) for ``user`` in ``org``; without one, in the user's own tenant.

        Names get Clerk's prefixes (``user_``, ``org_``) when they lack them, so that no organisation can have a user's
        tenant. A user is always admin of the user's own tenant, whatever ``role`` is. Raises `ValidationError` for a
        name that is not an identifier.
        """
        now = self._now()
        claims: dict[str, object] = {
            "v": 2,
            "iss": self.issuer,
            "sub": UserId(_prefixed("user_", user)).value,
            "sid": f"sess_{uuid4().hex}",
            "sts": "active",
            "fva": [0, -1],
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
        }
        if org is not None:
            tenant = TenantId(_prefixed("org_", org)).value
            claims["o"] = {"id": tenant, "slg": tenant.removeprefix("org_"), "rol": role.value}
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": "development"})


def _prefixed(prefix: str, name: str) -> str:
    return name if name.startswith(prefix) else prefix + name


def _load_or_create(path: Path) -> rsa.RSAPrivateKey:
    if not path.exists():
        _create(path)
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"{path} holds no RSA key. Remove the file; the next start creates a new one.")
    return key


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor, name = tempfile.mkstemp(dir=path.parent)  # 0600 from the start
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        # Of two processes that start at once, the first one's key counts: a link never replaces what is there.
        os.link(name, path)
    except FileExistsError:
        pass
    finally:
        Path(name).unlink()
