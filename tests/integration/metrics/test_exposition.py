"""What is really exposed, against what alerts and dashboards ask for; and what the database says waits."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args
from uuid import uuid4

import httpx
import promql_parser as promql
import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.contracts.events_contract import make_event
from tests.support.factories import NOW, make_item
from vidintel.application.jobs.work import PLAN, SEGMENT
from vidintel.application.ports import CircuitState, FailedDelivery, UnitOfWorkFactory, WorkOutcome
from vidintel.domain.analysis import JobStatus
from vidintel.domain.identity import TenantId
from vidintel.domain.work import SYSTEM_TENANT
from vidintel.infrastructure.cache.statistics import CountedCaches
from vidintel.infrastructure.database.engine import create_engine
from vidintel.infrastructure.observability.collectors import BreakerCollector, CacheCollector, PoolCollector
from vidintel.infrastructure.observability.exposition import Exposition, create_registry
from vidintel.infrastructure.observability.queue import QueueSampler
from vidintel.infrastructure.observability.telemetry import PrometheusTelemetry
from vidintel.settings.model import DatabaseSettings

ROOT = Path(__file__).parents[3]
RULES = yaml.safe_load((ROOT / "docker/prometheus/alerts.yaml").read_text())["groups"][0]["rules"]
DASHBOARDS = [json.loads(file.read_text()) for file in sorted((ROOT / "docker/grafana/dashboards").glob("*.json"))]
FROM_PROMETHEUS = {"job", "instance"}
NOT_OURS = {"up"}
OPERATIONS = (ROOT / "docs/operations.md").read_text()


def exposition_of(engine: AsyncEngine, registry: CollectorRegistry) -> Exposition:
    """Every collector there is, each with something to tell."""
    caches = CountedCaches()
    caches.count("video", "local_hit")
    return Exposition(
        registry,
        samplers=[QueueSampler(engine, registry)],
        collectors=[PoolCollector([engine]), BreakerCollector(lambda: {"s3": "closed"}), CacheCollector(caches)],
    )


@pytest.fixture
async def exposed(engine: AsyncEngine, uow_factory: UnitOfWorkFactory) -> Mapping[str, set[str]]:
    """Every series' name with its labels, when all that can happen has happened."""
    registry = create_registry("1.2.3")
    telemetry = PrometheusTelemetry(registry)
    telemetry.request_began()
    telemetry.request_ended("GET", "/health", 200, 0.1)
    telemetry.work_ended("analysis.segment", WorkOutcome.DONE)
    telemetry.job_ended(JobStatus.FAILED)
    telemetry.frame_analysed()
    telemetry.frame_inferred(0.01)
    telemetry.decode_fault("truncated")
    telemetry.lease_expired("analysis.plan")
    telemetry.task_ended("analysis.plan", "completed", 0.1)
    telemetry.settings_reloaded(accepted=True)
    async with uow_factory() as uow:
        await uow.event_deliveries.subscribe("reader", {"job.succeeded"}, NOW)
        await uow.commit()
    text = (await exposition_of(engine, registry)()).decode()
    names: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            names.setdefault(sample.name, set()).update(sample.labels)
    return names


def expressions() -> Iterator[str]:
    for rule in RULES:
        yield rule["expr"]
    for dashboard in DASHBOARDS:
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield target["expr"].replace("$__rate_interval", "5m")


def selectors(expression: Any) -> Iterator[tuple[str, set[str]]]:
    """Each metric that is asked for, with the labels that the expression has to do with."""
    match expression:
        case promql.VectorSelector():
            yield expression.name or "", {matcher.name for matcher in expression.matchers.matchers}
        case promql.MatrixSelector():
            yield from selectors(expression.vector_selector)
        case promql.AggregateExpr():
            by = set(expression.modifier.labels) if expression.modifier is not None else set()
            for name, labels in selectors(expression.expr):
                yield name, labels | by
        case promql.BinaryExpr():
            yield from selectors(expression.lhs)
            yield from selectors(expression.rhs)
        case promql.ParenExpr() | promql.UnaryExpr():
            yield from selectors(expression.expr)
        case promql.Call():
            for argument in expression.args:
                yield from selectors(argument)


async def test_what_alerts_and_dashboards_ask_for_is_exposed(exposed: Mapping[str, set[str]]) -> None:
    for expression in expressions():
        asked = list(selectors(promql.parse(expression)))

        assert asked, expression
        for name, labels in asked:
            if name not in NOT_OURS:
                assert name in exposed, expression
                assert labels - FROM_PROMETHEUS <= exposed[name], expression


async def test_everything_of_ours_that_is_exposed_is_shown_somewhere(exposed: Mapping[str, set[str]]) -> None:
    def family(name: str) -> str:
        return re.sub(r"_(bucket|count|sum)$", "", name)

    asked = {family(name) for expression in expressions() for name, _ in selectors(promql.parse(expression))}
    ours = {family(name) for name in exposed if name.startswith("vidintel_")}

    assert ours - asked == set()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_says_what_it_means_and_what_to_do(rule: dict[str, Any]) -> None:
    name = rule["alert"]

    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
    assert f"#### {name}\n" in OPERATIONS


def test_no_alert_is_explained_that_is_not_there() -> None:
    assert set(re.findall(r"(?m)^#### (Vidintel\w+)$", OPERATIONS)) == {rule["alert"] for rule in RULES}


def test_dashboards_can_stand_beside_each_other() -> None:
    assert len({dashboard["uid"] for dashboard in DASHBOARDS}) == len(DASHBOARDS) == 2
    for dashboard in DASHBOARDS:
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(ids) == len(set(ids))


def test_circuits_are_in_the_states_that_breakers_know() -> None:
    assert set(BreakerCollector.STATES) == set(get_args(CircuitState))


async def test_the_queue_is_counted_by_class_of_tenant(
    engine: AsyncEngine, uow_factory: UnitOfWorkFactory, registry: CollectorRegistry
) -> None:
    async with uow_factory() as uow:
        for tenant in ("org_acme", "org_acme", "org_other", "user_alice"):
            await uow.work_items.add_all([make_item(kind=PLAN, tenant_id=TenantId(tenant))])
        await uow.work_items.add_all(
            [make_item(kind=SEGMENT, tenant_id=TenantId("user_bob"), ordinal=index) for index in range(5)]
        )
        await uow.work_items.add_all([make_item(tenant_id=SYSTEM_TENANT), make_item(owner="worker-1")])
        await uow.commit()

    await exposition_of(engine, registry)()

    def told(name: str, tenant_class: str) -> float:
        value = registry.get_sample_value(f"vidintel_queue_{name}", {"tenant_class": tenant_class})
        assert value is not None
        return value

    assert (told("depth", "organisation"), told("depth", "personal")) == (3, 6)
    assert told("oldest_job_seconds", "organisation") > 0


async def test_what_subscribers_have_still_to_be_told_is_counted(
    engine: AsyncEngine, uow_factory: UnitOfWorkFactory, registry: CollectorRegistry
) -> None:
    async with uow_factory() as uow:
        for subscriber in ("busy", "idle"):
            types = {"job.succeeded"} if subscriber == "busy" else set()
            await uow.event_deliveries.subscribe(subscriber, types, NOW)
        for _ in range(3):
            await uow.outbox.add(make_event())
        batch = await uow.event_deliveries.take(
            "busy", {"job.succeeded"}, now=NOW, leased_until=NOW + timedelta(minutes=1), limit=1
        )
        assert batch is not None
        failed = [FailedDelivery(batch.deliveries[0].position, "Never.", None)]
        await uow.event_deliveries.settle(batch, now=NOW, leased_until=NOW, failed=failed)
        await uow.commit()

    await exposition_of(engine, registry)()

    def told(name: str, subscriber: str) -> float | None:
        return registry.get_sample_value(f"vidintel_events_{name}", {"subscriber": subscriber})

    assert [told(name, "busy") for name in ("waiting", "dead_letters")] == [2, 1]
    assert (told("oldest_waiting_seconds", "busy") or 0) > 0
    assert [told(name, "idle") for name in ("waiting", "dead_letters", "oldest_waiting_seconds")] == [0, 0, 0]


async def test_a_database_that_is_down_leaves_no_old_figures_and_no_scrape_hanging(registry: CollectorRegistry) -> None:
    engine = create_engine(f"postgresql+asyncpg://nobody@127.0.0.1:1/{uuid4().hex}", DatabaseSettings())

    text = (await exposition_of(engine, registry)()).decode()
    await engine.dispose()

    assert "vidintel_queue_sample_failures_total 1.0" in text
    assert "vidintel_queue_depth{" not in text
    assert 'vidintel_circuit_state{circuit="s3",state="closed"} 1.0' in text


async def test_a_worker_serves_its_metrics_until_it_ends(registry: CollectorRegistry, engine: AsyncEngine) -> None:
    exposition = exposition_of(engine, registry)

    with exposition.serve("127.0.0.1", 0) as port:
        async with httpx.AsyncClient() as client:
            response = await client.get(f"http://127.0.0.1:{port}/metrics")
            assert response.status_code == 200
            assert "vidintel_database_connections" in response.text
        with pytest.raises(OSError, match="in use"):
            exposition.serve("127.0.0.1", port)

    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{port}/metrics")


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()
