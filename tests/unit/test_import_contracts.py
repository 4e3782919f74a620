"""`make lint` fails on an import that a layer may not have, named in no list: what is not allowed is forbidden."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_FORBIDDEN = {
    "domain/video.py": ["numpy", "pydantic", "vidintel.application.result"],
    "application/work/lease.py": ["structlog", "numpy", "vidintel.settings.model"],
    "application/ports/media.py": ["cv2"],
}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(_ROOT / "src/vidintel", tmp_path / "vidintel", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(_ROOT / "scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(_ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_an_import_that_is_not_allowed_is_found(copied: Path) -> None:
    for file, names in _FORBIDDEN.items():
        with (copied / "vidintel" / file).open("a") as module:
            module.writelines(f"import {name}\n" for name in names)
    returned, said = _lint_imports(copied)
    assert returned == 1
    for file, names in _FORBIDDEN.items():
        importer = "vidintel." + file.removesuffix(".py").replace("/", ".")
        for name in names:
            assert f"{importer} imports {name} (line " in said


def test_the_imports_as_they_are_are_allowed(copied: Path) -> None:
    assert _lint_imports(copied)[0] == 0


def _lint_imports(folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=folder,
        env={**os.environ, "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout
