"""Load, kills and latency for a while; then rest, and what is left is looked at."""

import asyncio
import random
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import httpx

from tests.chaos.evidence import Findings, await_rest, look
from tests.chaos.system import ChaosSystem, Victim
from tests.support.media_files import PLAIN, even_times, video

CLIENTS = 3
_PAUSE_S = (0.3, 1.2)
_DOWN_S = (0.0, 1.0)
_SLOW_S = 0.15


@dataclass
class Load:
    """What the clients were told. A request without an answer may or may not have been accepted."""

    accepted: set[UUID] = field(default_factory=set)
    latencies_s: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Report:
    load: Load
    kills: Counter[str]
    findings: Findings
    recoveries_s: Sequence[float]
    rest_s: float

    def lines(self) -> list[str]:
        kinds = Counter(name.split("-")[0] for name in self.kills.elements())
        median, longest = statistics.median(self.recoveries_s or [0.0]), max(self.recoveries_s, default=0.0)
        refused = ", ".join(f"{count} × {what}" for what, count in sorted(self.load.refused.items())) or "none"
        return [
            f"kills      {sum(kinds.values())} ({', '.join(f'{kind} {n}' for kind, n in sorted(kinds.items()))})",
            f"accepted   {len(self.load.accepted)}",
            f"refused    {refused}",
            f"finished   {len(self.findings.finished & self.load.accepted)}",
            f"lost       {len(self.load.accepted - self.findings.finished)}",
            f"doubled    {len(self.findings.doubled)}",
            f"faults     {'; '.join(self.findings.faults) or 'none'}",
            f"acceptance p50 {_ms(self.load.latencies_s, 50)}, p95 {_ms(self.load.latencies_s, 95)}",
            f"recovery   {median:.1f} s at the median, {longest:.1f} s at worst, from a kill to the next end of a job",
            f"rest       {self.rest_s:.1f} s after the last kill",
        ]


async def run(system: ChaosSystem, *, seconds: float, seed: int) -> Report:
    """Every victim is killed at least once, however short ``seconds`` is."""
    dice = random.Random(seed)
    clip = video(even_times(50), PLAIN.with_keyframes(25))
    reference = Load()
    await _upload(system, clip, reference, dice)
    assert reference.accepted, f"not even in peace: {reference.refused}; see the logs in {system.folder}"
    await await_rest(system)

    load, kills = Load(accepted=set(reference.accepted)), Counter[str]()
    killed_at: list[datetime] = []
    over = asyncio.Event()
    clients = [asyncio.create_task(_keep_uploading(system, clip, load, dice, over)) for _ in range(CLIENTS)]
    slowing = asyncio.create_task(_keep_slowing(system, dice, over))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or len(kills) < len(system.victims):
        for victim in dice.sample(system.victims, len(system.victims)):
            killed_at.append(datetime.now(UTC))
            kills[victim.name] += 1
            await _kill_and_start(victim, dice)
            await asyncio.sleep(dice.uniform(0.1, max(0.2, min(2.0, seconds / 10))))
            if time.monotonic() >= deadline and len(kills) == len(system.victims):
                break
    over.set()
    await asyncio.gather(*clients, slowing)
    resting_at = time.monotonic()
    await system.wait_until_ready()
    await await_rest(system)
    rest_s = time.monotonic() - resting_at
    (first,) = reference.accepted
    findings = await asyncio.to_thread(look, system, first)
    recoveries = [
        min((end - moment).total_seconds() for end in findings.ends if end > moment)
        for moment in killed_at
        if any(end > moment for end in findings.ends)
    ]
    return Report(load, kills, findings, recoveries, rest_s)


async def _kill_and_start(victim: Victim, dice: random.Random) -> None:
    await asyncio.to_thread(victim.kill)
    await asyncio.sleep(dice.uniform(*_DOWN_S))
    await asyncio.to_thread(victim.start)


async def _keep_uploading(
    system: ChaosSystem, clip: bytes, load: Load, dice: random.Random, over: asyncio.Event
) -> None:
    while not over.is_set():
        await _upload(system, clip, load, dice)
        await asyncio.sleep(dice.uniform(*_PAUSE_S))


async def _upload(system: ChaosSystem, clip: bytes, load: Load, dice: random.Random) -> None:
    """Once; what is refused is not tried again, so that each title is sent once."""
    url = f"{dice.choice(system.api_urls)}/api/v1/videos"
    headers = {"Authorization": f"Bearer {system.token}"}
    began = time.monotonic()
    try:
        async with httpx.AsyncClient(timeout=60, headers=headers) as client:
            files = {"file": ("clip.mp4", clip, "video/mp4")}
            answer = await client.post(url, files=files, data={"title": uuid4().hex})
    except httpx.TransportError as error:
        load.refused[type(error).__name__] += 1
        return
    if answer.status_code == 202:
        load.latencies_s.append(time.monotonic() - began)
        load.accepted.add(UUID(answer.json()["video"]["id"]))
    else:
        load.refused[str(answer.status_code)] += 1


async def _keep_slowing(system: ChaosSystem, dice: random.Random, over: asyncio.Event) -> None:
    while not over.is_set():
        proxy = dice.choice(system.proxies)
        proxy.delay_s = dice.uniform(0.0, _SLOW_S)
        await asyncio.sleep(dice.uniform(0.5, 1.5))
        proxy.delay_s = 0.0


def _ms(seconds: Sequence[float], percentile: int) -> str:
    if len(seconds) < 2:
        return "unknown"
    return f"{statistics.quantiles(seconds, n=100, method='inclusive')[percentile - 1] * 1000:.0f} ms"
