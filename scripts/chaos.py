"""``make chaos``: kills everything at random, for some minutes, under load."""

import argparse
import asyncio
import sys

from tests.chaos.run import run
from tests.chaos.system import APIS, WORKERS, running


async def _main(seconds: float, seed: int) -> int:
    async with running() as system:
        print(
            f"{APIS} APIs, {WORKERS} workers, PostgreSQL, Redis and S3; {seconds:g} s of chaos, seed {seed}", flush=True
        )
        report = await run(system, seconds=seconds, seed=seed)
    print("\n".join(report.lines()))
    findings = report.findings
    return 1 if report.load.accepted - findings.finished or findings.doubled or findings.faults else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    sys.exit(asyncio.run(_main(arguments.seconds, arguments.seed)))
