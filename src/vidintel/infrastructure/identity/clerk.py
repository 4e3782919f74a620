"""Clerk session tokens, verified with the instance's public key: no network call is ever made."""

import re
import time
from collections.abc import Mapping
from hashlib import sha256
from threading import Lock
from typing import Any, Never

from cachetools import TLRUCache
from clerk_backend_api.security import VerifyTokenOptions, verify_token

from vidintel.domain.errors import AuthenticationError
from vidintel.domain.identity import Principal, Role, TenantId, UserId
from vidintel.infrastructure.cache.statistics import CountedCaches

MAX_TOKEN_LENGTH = 8 * 1024
_CACHED_TOKENS = 10_000

# A signed token's header is a JSON object, and base64 of `{"` is `eyJ`. Clerk's machine tokens (`mt_…`, `ak_…`,
# `oat_…`), for which the SDK would call Clerk's API, never look like this.
_SIGNED_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

# An organisation of a new Clerk instance has two roles, admin and member. Members may add videos and request analyses;
# only admins may delete. A role that is not listed has no permissions.
ROLES: Mapping[str, Role] = {"admin": Role.ADMIN, "editor": Role.EDITOR, "member": Role.EDITOR, "viewer": Role.VIEWER}


class ClerkTokenVerifier:
    """`TokenVerifier` for Clerk's session tokens, version 1 and 2.

    ``jwt_key`` is the instance's public key (PEM), ``issuer`` its frontend API URL, the ``iss`` of its tokens.
    ``authorized_parties`` lists the origins (``azp``) that tokens may be made for; empty means any.

    Beyond what Clerk's SDK checks (RS256 signature, ``exp``, ``nbf``, ``iat`` with 5 s of skew, ``azp``), a token must
    come from ``issuer``, name a user and a session, end some day, and belong to a session that is active. A verified
    token is remembered until its ``exp``, as checking a signature costs more than all else in a cheap request.
    """

    def __init__(
        self,
        jwt_key: str,
        issuer: str,
        authorized_parties: tuple[str, ...] = (),
        *,
        counted: CountedCaches | None = None,
    ) -> None:
        self._issuer = issuer
        self._options = VerifyTokenOptions(
            jwt_key=jwt_key, authorized_parties=list(authorized_parties) if authorized_parties else None
        )
        self._verified: TLRUCache[bytes, tuple[Principal, float]] = TLRUCache(
            _CACHED_TOKENS, ttu=lambda _key, value, _now: value[1], timer=time.time
        )
        self._lock = Lock()
        self._counted = counted or CountedCaches()

    def verify(self, token: str) -> Principal:
        """The caller that ``token`` identifies. Raises only `AuthenticationError` for an invalid token."""
        if len(token) > MAX_TOKEN_LENGTH or not _SIGNED_TOKEN.fullmatch(token):
            raise AuthenticationError("This is not a session token. Send a Clerk session token as bearer token.")
        key = sha256(token.encode()).digest()
        with self._lock:
            known = self._verified.get(key)
            self._counted.count("token", "miss" if known is None else "local_hit")
        if known is not None:
            return known[0]
        principal, expires_at = self._check(token)
        with self._lock:
            self._verified[key] = (principal, expires_at)
        return principal

    def _check(self, token: str) -> tuple[Principal, float]:
        try:
            claims = verify_token(token, self._options)
            return self._principal(claims), float(claims["exp"])
        except AuthenticationError:
            raise
        # Claims are untrusted input, and the SDK raises TypeErrors and AttributeErrors for some of them: every error
        # means that the token is invalid.
        except Exception as error:
            raise AuthenticationError("The session token is not valid, or has expired. Sign in again.") from error

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        if claims.get("iss") != self._issuer:
            _refuse("comes from another issuer")
        if not isinstance(claims.get("exp"), int | float):
            _refuse("has no end")
        user, session = claims.get("sub"), claims.get("sid")
        if not isinstance(user, str) or not isinstance(session, str) or not session:
            _refuse("names no user or no session")
        # Version 1 knows no `sts`; in version 2 only an active session has passed every sign-in task.
        if claims.get("sts", "active" if claims.get("v", 1) == 1 else None) != "active":
            _refuse("belongs to a session that is not active")
        organisation = _organisation(claims)
        if organisation is None:
            # The user's id becomes the tenant's: no user may pass for an organisation either.
            if user.startswith("org_"):
                _refuse("names an organisation as its user")
            return Principal(UserId(user), TenantId(user), Role.ADMIN)
        tenant, role = organisation
        return Principal(UserId(user), TenantId(tenant), role)


def _organisation(claims: Mapping[str, Any]) -> tuple[str, Role] | None:
    """Id and role: ``o`` in version 2, ``org_id`` and ``org_role`` in version 1. ``None`` outside an organisation."""
    if claims.get("v", 1) == 1:
        tenant, role = claims.get("org_id"), claims.get("org_role")
        if tenant is None and claims.get("o") is None:
            return None
    else:
        if claims.get("o") is None:
            return None
        tenant, role = claims["o"]["id"], claims["o"]["rol"]
    # A user's own tenant carries the user's id: no organisation may pass for one.
    if not isinstance(tenant, str) or tenant.startswith("user_"):
        _refuse("names no organisation")
    if not isinstance(role, str) or (known := ROLES.get(role.removeprefix("org:"))) is None:
        _refuse("carries an organisation role that this service does not know")
    return tenant, known


def _refuse(reason: str) -> Never:
    raise AuthenticationError(f"The session token {reason}.")
