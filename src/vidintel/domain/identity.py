"""The caller of a request: user, tenant, role, and the permissions of each role."""

import re
from dataclasses import dataclass
from enum import StrEnum

from vidintel.domain.errors import AuthorizationError, ValidationError

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@|-]{0,127}")


@dataclass(frozen=True, slots=True)
class _Identifier:
    value: str

    def __post_init__(self) -> None:
        if not _IDENTIFIER.fullmatch(self.value):
            kind = type(self).__name__
            raise ValidationError(
                f"A {kind} must have 1 to 128 letters, digits or _.:@|- and start with a letter or digit."
            )

    def __str__(self) -> str:
        return self.value


class UserId(_Identifier):
    """The subject of a verified token, for example ``user_2abc``."""

    __slots__ = ()


class TenantId(_Identifier):
    """The owner of every row: the organisation that a token is issued for, or else the user."""

    __slots__ = ()


class Permission(StrEnum):
    """One action on one kind of resource."""

    VIDEO_READ = "video:read"
    VIDEO_CREATE = "video:create"
    VIDEO_UPDATE = "video:update"
    VIDEO_DELETE = "video:delete"
    JOB_READ = "job:read"
    JOB_CREATE = "job:create"
    JOB_CANCEL = "job:cancel"
    MODEL_READ = "model:read"


class Role(StrEnum):
    """The role of a member of a tenant. Each role has all permissions of the role before it."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"


_VIEWER = frozenset({Permission.VIDEO_READ, Permission.JOB_READ, Permission.MODEL_READ})
_EDITOR = _VIEWER | {Permission.VIDEO_CREATE, Permission.VIDEO_UPDATE, Permission.JOB_CREATE, Permission.JOB_CANCEL}
_ADMIN = _EDITOR | {Permission.VIDEO_DELETE}

PERMISSIONS: dict[Role, frozenset[Permission]] = {Role.VIEWER: _VIEWER, Role.EDITOR: _EDITOR, Role.ADMIN: _ADMIN}


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller: one user acting in one tenant with one role."""

    user_id: UserId
    tenant_id: TenantId
    role: Role

    @property
    def permissions(self) -> frozenset[Permission]:
        return PERMISSIONS[self.role]

    def require(self, permission: Permission) -> None:
        """Raise `AuthorizationError` unless the role grants ``permission``."""
        if permission not in self.permissions:
            raise AuthorizationError(
                f"Role '{self.role}' lacks the permission '{permission}'. Ask an admin of your organisation.",
                permission=permission.value,
            )
