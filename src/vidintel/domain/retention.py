"""How long videos are kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vidintel.domain.identity import TenantId


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """``default`` applies to tenants that ``tenants`` does not name; ``None`` keeps their videos without a limit."""

    default: timedelta | None = None
    tenants: Mapping[TenantId, timedelta | None] = field(default_factory=dict)

    def expires_at(self, tenant_id: TenantId, created_at: datetime) -> datetime | None:
        """When a video of the tenant expires."""
        kept = self.tenants.get(tenant_id, self.default)
        return None if kept is None else created_at + kept
