"""Started, alive, ready: three questions with an address each."""

from tests.unit.http.edge import Edge
from vidintel.application.queries.readiness import ComponentHealth, Readiness

WELL = Readiness({"database": ComponentHealth(ok=True)}, {})
DOWN = Readiness({"database": ComponentHealth(ok=False, detail="It does not answer.")}, {})


async def status_of(edge: Edge, address: str) -> int:
    async with edge.client({}) as client:
        return (await client.get(address)).status_code


async def test_a_process_has_started_once_everything_was_ready_and_stays_so() -> None:
    edge = Edge(answers={"check_readiness": DOWN})
    assert await status_of(edge, "/health/startup") == 503

    edge.answers["check_readiness"] = WELL
    assert await status_of(edge, "/health/startup") == 200

    edge.answers["check_readiness"] = DOWN
    assert await status_of(edge, "/health/startup") == 200
    assert await status_of(edge, "/health/ready") == 503


async def test_a_process_is_alive_whatever_it_depends_on() -> None:
    assert await status_of(Edge(answers={"check_readiness": DOWN}), "/health") == 200


async def test_a_process_that_is_about_to_end_is_alive_but_not_ready() -> None:
    edge = Edge(answers={"check_readiness": WELL})
    assert await status_of(edge, "/health/ready") == 200

    edge.lifecycle.drain()

    async with edge.client({}) as client:
        refused = await client.get("/health/ready")
    assert (refused.status_code, refused.json()["status"]) == (503, "draining")
    assert refused.headers["retry-after"] == "5"
    assert await status_of(edge, "/health") == 200
    assert await status_of(edge, "/health/startup") == 200
