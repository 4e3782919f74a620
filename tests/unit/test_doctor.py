import asyncio
import socket
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from rich.console import Console

from vidintel.application.ports import ModelInfo, ModelRegistry
from vidintel.domain.errors import ModelUnusable
from vidintel.entrypoints.doctor import (
    Check,
    available_decoders,
    check_codecs,
    check_database,
    check_embedded_postgres,
    check_folder,
    check_machine,
    check_models,
    check_package,
    check_port,
    check_python,
    exit_code,
    render,
    run_doctor,
)
from vidintel.infrastructure.embedded_postgres.binaries import EmbeddedPostgresError
from vidintel.settings.model import Settings

GIB = 1024**3


class OneModel:
    """A registry of a single model, which may be damaged."""

    def __init__(self, fault: ModelUnusable | None = None) -> None:
        self._fault = fault
        self._info = ModelInfo("tiny", "2", "openvino", ("car",), (320, 320), "Apache-2.0", "0" * 64, "")

    @property
    def default_name(self) -> str:
        return "tiny"

    def list(self) -> Sequence[ModelInfo]:
        return [] if self._fault else [self._info]

    def get(self, name: str) -> ModelInfo:
        if self._fault:
            raise self._fault
        return self._info


def failed_with_advice(check: Check) -> bool:
    return not check.ok and bool(check.detail) and bool(check.fix)


@pytest.mark.parametrize(("found", "ok"), [((3, 11, 0), True), ((3, 13, 2), True), ((3, 10, 9), False), ((4, 0), True)])
def test_python_must_be_new_enough(found: tuple[int, ...], ok: bool) -> None:
    check = check_python(found)

    assert check.ok is ok
    assert "3.11" in check.fix


def test_a_package_that_loads_is_told_with_its_version() -> None:
    check = check_package("openvino", "openvino", version_of=lambda name: "2026.4", load=lambda name: object())

    assert check == Check("openvino", ok=True, detail="2026.4")


def test_a_package_that_is_not_there_is_to_be_installed() -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    check = check_package("opencv-python-headless", "cv2", version_of=missing)

    assert failed_with_advice(check)
    assert check.fix == "pip install opencv-python-headless"


def test_a_package_that_cannot_be_loaded_tells_what_it_misses() -> None:
    def broken(name: str) -> object:
        raise ImportError("libGL.so.1: cannot open shared object file")

    check = check_package("opencv-python-headless", "cv2", version_of=lambda name: "5.0", load=broken)

    assert failed_with_advice(check)
    assert "libGL.so.1" in check.detail


def test_the_decoders_that_are_promised_are_here() -> None:
    assert check_codecs(available_decoders()).ok


def test_a_missing_decoder_is_named() -> None:
    check = check_codecs({"h264", "vp9"})

    assert failed_with_advice(check)
    assert check.detail == "h264, vp9; missing: hevc, av1"


def test_an_embedded_server_tells_its_version() -> None:
    assert check_embedded_postgres(lambda: "18.4") == Check("embedded PostgreSQL", ok=True, detail="18.4")


def test_an_embedded_server_that_is_not_installed_says_what_to_do() -> None:
    def missing() -> str:
        raise EmbeddedPostgresError("Install it.")

    check = check_embedded_postgres(missing)

    assert failed_with_advice(check)
    assert check.fix == "Install it."


def test_a_database_that_answers_tells_its_version() -> None:
    async def answer() -> str:
        return "16.2"

    assert check_database(answer) == Check("database", ok=True, detail="PostgreSQL 16.2")


def test_a_database_that_refuses_keeps_its_password_to_itself() -> None:
    async def refuse() -> str:
        raise ConnectionRefusedError("postgresql://user:hunter2@db")

    check = check_database(refuse)

    assert failed_with_advice(check)
    assert "hunter2" not in check.detail + check.fix


def test_a_database_that_stays_silent_is_given_up() -> None:
    async def silent() -> str:
        await asyncio.Event().wait()
        return "never"

    assert failed_with_advice(check_database(silent, timeout_s=0.01))


def test_a_folder_that_is_not_there_yet_is_fine_where_it_can_be_made(tmp_path: Path) -> None:
    check = check_folder("data directory", tmp_path / "a" / "b", GIB, free=lambda path: 5 * GIB)

    assert check.ok
    assert "not there yet" in check.detail
    assert list(tmp_path.iterdir()) == []


def test_a_folder_on_a_full_disk_says_how_much_to_free(tmp_path: Path) -> None:
    check = check_folder("data directory", tmp_path, 3 * GIB, free=lambda path: GIB)

    assert failed_with_advice(check)
    assert "2.0 GiB" in check.fix


def test_a_folder_that_is_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    assert failed_with_advice(check_folder("data directory", tmp_path / "file", 0))


def test_a_free_port_is_fine() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    assert check_port("127.0.0.1", port).ok
    assert check_port("127.0.0.1", 0).ok


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        check = check_port("127.0.0.1", taken.getsockname()[1])

    assert failed_with_advice(check)
    assert "--port" in check.fix


def test_the_default_model_is_named() -> None:
    check = check_models(OneModel)

    assert check == Check("models", ok=True, detail="tiny 2 (default)")


def test_a_damaged_default_model_is_told() -> None:
    def damaged() -> ModelRegistry:
        return OneModel(ModelUnusable("tiny/model.bin is missing"))

    check = check_models(damaged)

    assert failed_with_advice(check)
    assert "model.bin" in check.detail


@pytest.mark.parametrize(("memory", "ok"), [(8 * GIB, True), (GIB // 2, False)])
def test_a_machine_needs_memory_for_a_worker(memory: int, ok: bool) -> None:
    check = check_machine(4, memory)

    assert check.ok is ok
    assert "4 processors" in check.detail


def test_one_thing_that_is_wrong_decides_the_exit_code_and_its_fix_is_shown() -> None:
    good, bad = Check("good", ok=True, detail="1", fix="unneeded"), Check("bad", ok=False, detail="0", fix="mend it")
    console = Console(width=100)
    with console.capture() as captured:
        console.print(render([good, bad]))

    assert exit_code([good]) == 0
    assert exit_code([good, bad]) == 1
    assert "mend it" in captured.get()
    assert "unneeded" not in captured.get()


def test_the_whole_of_it_runs_on_this_machine(tmp_path: Path) -> None:
    console = Console(width=200)
    with console.capture() as captured:
        run_doctor(Settings(data_dir=tmp_path / "data"), console)

    for name in ("Python", "openvino", "embedded PostgreSQL", "data directory", "port", "models", "machine"):
        assert name in captured.get()
