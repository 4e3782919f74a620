"""The package as a wheel, away from the checkout: it brings its models and migrations along."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.serving import SAMPLE

CHECKOUT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which the wheel is imported instead of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    run([str(UV), "build", "--wheel", "--quiet", "--out-dir", str(folder), str(CHECKOUT)])
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    run([str(UV), "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)])
    return {**os.environ, "PYTHONPATH": str(site)}


def run(command: list[str], environment: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_runs_from_where_it_was_installed(installed: dict[str, str], tmp_path: Path) -> None:
    where = run([sys.executable, "-c", "import vidintel; print(vidintel.__file__)"], installed, tmp_path)

    assert where.startswith(installed["PYTHONPATH"])


def test_it_analyses_a_video_with_the_model_that_it_brings(installed: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vidintel", "analyze", str(SAMPLE), "--sample-fps", "1", "--output", "json"]

    summary = json.loads(run(command, installed, tmp_path))

    assert summary["frames_analysed"] == 20
    assert summary["labels"]["car"]["detections"] > 0


def test_it_migrates_a_database_with_the_migrations_that_it_brings(
    installed: dict[str, str], server_dir: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "vidintel", "migrate", "--data-dir", str(server_dir)]

    assert "up to date" in run(command, installed, tmp_path)
