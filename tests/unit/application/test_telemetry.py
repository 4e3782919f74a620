"""What use cases tell of the work they do."""

from collections import Counter

import pytest
from prometheus_client import CollectorRegistry

from tests.unit.application.world import LEASE_S, World
from vidintel.application.jobs.work import SEGMENT
from vidintel.domain.errors import ServiceUnavailable, UnreadableVideo
from vidintel.domain.video import MediaWarning
from vidintel.infrastructure.observability.telemetry import PrometheusTelemetry


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def world(registry: CollectorRegistry) -> World:
    return World(telemetry=PrometheusTelemetry(registry))


def told(registry: CollectorRegistry) -> Counter[str]:
    """Everything that was counted: ``jobs_ended{failed}``."""
    return Counter(
        {
            f"{family.name.removeprefix('vidintel_')}{{{','.join(sample.labels.values())}}}": round(sample.value)
            for family in registry.collect()
            for sample in family.samples
            if sample.name.endswith("_total") and sample.value
        }
    )


async def test_a_job_that_goes_well(world: World, registry: CollectorRegistry) -> None:
    world.media.warnings = (MediaWarning("truncated", "", 1.0),)
    await world.registered()

    await world.work_off()

    assert told(registry) == {
        "work_attempts{analysis.plan,done}": 1,
        "work_attempts{analysis.segment,done}": 2,
        "work_attempts{analysis.finish,done}": 1,
        "frames_analysed{}": 20,
        "decode_faults{truncated}": 2,
        "jobs_ended{succeeded}": 1,
    }


async def test_a_video_that_cannot_be_planned(world: World, registry: CollectorRegistry) -> None:
    def refuse() -> None:
        raise UnreadableVideo("x")

    world.media.on_plan = refuse
    await world.registered()

    await world.work_off()

    assert told(registry) == {
        "decode_faults{unreadable_video}": 1,
        "jobs_ended{failed}": 1,
        "work_attempts{analysis.plan,failed}": 1,
    }


async def test_a_segment_that_is_tried_again_until_it_is_dead(world: World, registry: CollectorRegistry) -> None:
    def break_down(index: int) -> None:
        if index >= 50:
            raise RuntimeError("x")

    world.media.on_frame = break_down
    await world.planned()

    for _ in range(3):
        for segment in await world.segments():
            try:
                await world.run(segment)
            except RuntimeError:
                world.clock.advance(100)

    counts = told(registry)
    assert (
        counts["work_attempts{analysis.segment,retried}"],
        counts["work_attempts{analysis.segment,failed}"],
        counts["jobs_ended{failed}"],
    ) == (2, 1, 1)


async def test_a_segment_that_is_released_while_something_is_down(world: World, registry: CollectorRegistry) -> None:
    def be_down(_: int) -> None:
        raise ServiceUnavailable("x")

    world.media.on_frame = be_down
    await world.planned()

    await world.run((await world.segments())[0])

    assert told(registry)["work_attempts{analysis.segment,released}"] == 1


async def test_leases_that_ran_out(world: World, registry: CollectorRegistry) -> None:
    await world.planned()
    segment = (await world.segments())[0]
    await world.die_with(world.item(SEGMENT, segment.id))
    world.clock.advance(LEASE_S + 1)

    assert await world.reclaim() == 1

    counts = told(registry)
    assert counts["lease_expiries{analysis.segment}"] == counts["work_attempts{analysis.segment,retried}"] == 1
