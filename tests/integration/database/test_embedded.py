"""The embedded server through everything that can happen to it. Processes are stopped by their own ids."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.postgres import administer
from vidintel.infrastructure.embedded_postgres.binaries import Binaries, ServerAccount
from vidintel.infrastructure.embedded_postgres.server import DataDirectoryInUse, EmbeddedPostgres, EmbeddedPostgresError

AS_ROOT = os.geteuid() == 0

_START_AND_WAIT = """
import sys
from pathlib import Path
from vidintel.infrastructure.embedded_postgres.server import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), durable=False)
server.start()
print(server.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def launchers() -> Iterator[ExitStack]:
    """Stops what a test started, whatever became of the test."""
    with ExitStack() as stack:
        yield stack


def launcher(launchers: ExitStack, server_dir: Path) -> EmbeddedPostgres:
    server = EmbeddedPostgres(server_dir, durable=False)
    launchers.callback(server.stop)
    return server


def parent_process(launchers: ExitStack, server_dir: Path) -> "tuple[subprocess.Popen[str], int]":
    """Another process that started the server, and the server's process id."""
    parent = subprocess.Popen(
        [sys.executable, "-c", _START_AND_WAIT, str(server_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    launchers.enter_context(parent)
    launchers.callback(parent.kill)
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z" if Path("/proc").is_dir() else True


def test_it_starts_keeps_its_data_and_stops(server_dir: Path) -> None:
    with EmbeddedPostgres(server_dir) as server:
        pid = server.pid
        assert administer(server.url, "SHOW server_version")[0][0] == server.server_version
        assert administer(server.url, "SHOW fsync")[0][0] == "on"
        administer(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert not is_alive(pid)

    with EmbeddedPostgres(server_dir) as server:
        assert administer(server.url, "SELECT answer FROM kept")[0][0] == 42


def test_text_is_utf8_and_sorted_by_code_point_in_utc(launchers: ExitStack, server_dir: Path) -> None:
    url = launcher(launchers, server_dir).start()

    assert administer(url, "SHOW server_encoding")[0][0] == "UTF8"
    assert administer(url, "SHOW timezone")[0][0] == "UTC"
    assert administer(url, "SELECT lower('ÄÖ'), 'Z' < 'a'")[0][:] == ("äö", True)


def test_it_listens_on_a_private_socket_only(launchers: ExitStack, server_dir: Path) -> None:
    server = launcher(launchers, server_dir)
    server.start()

    assert administer(server.url, "SHOW listen_addresses")[0][0] == ""
    assert stat.S_IMODE((server_dir / "socket").stat().st_mode) == 0o700
    assert stat.S_IMODE((server_dir / "cluster").stat().st_mode) == 0o700
    assert stat.S_IMODE((server_dir / "server.log").stat().st_mode) == 0o600


@pytest.mark.skipif(not AS_ROOT, reason="only root can try to connect as somebody else")
@pytest.mark.parametrize("user", ["nobody", "daemon"])
def test_no_other_user_can_connect(launchers: ExitStack, server_dir: Path, user: str) -> None:
    launcher(launchers, server_dir).start()
    binaries = Binaries.find(None).usable_by(ServerAccount.choose(), server_dir)

    refused = subprocess.run(
        [binaries.path("psql"), "-h", str(server_dir / "socket"), "-U", "vidintel", "-c", "SELECT 1", "vidintel"],
        cwd="/",
        env={},
        user=user,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )

    assert refused.returncode == 2
    assert "Permission denied" in refused.stderr or "Peer authentication failed" in refused.stderr


def test_a_folder_in_use_is_refused_with_who_uses_it(launchers: ExitStack, server_dir: Path) -> None:
    parent, pid = parent_process(launchers, server_dir)

    with pytest.raises(DataDirectoryInUse, match=f"process {parent.pid}"):
        launcher(launchers, server_dir).start()
    assert is_alive(pid)

    _stop_through_next_launcher(launchers, parent, server_dir)


def test_a_server_whose_parent_was_killed_is_taken_over(launchers: ExitStack, server_dir: Path) -> None:
    parent, pid = parent_process(launchers, server_dir)
    parent.kill()
    parent.wait()
    assert is_alive(pid)

    server = launcher(launchers, server_dir)
    administer(server.start(), "SELECT 1")

    assert server.pid == pid
    server.stop()
    assert not is_alive(pid)


def test_a_server_that_runs_with_other_settings_is_started_anew(launchers: ExitStack, server_dir: Path) -> None:
    parent, pid = parent_process(launchers, server_dir)
    parent.kill()
    parent.wait()

    with EmbeddedPostgres(server_dir, durable=True) as server:
        assert administer(server.url, "SHOW fsync")[0][0] == "on"
        assert not is_alive(pid)


def test_ctrl_c_on_the_parent_does_not_reach_the_server(launchers: ExitStack, server_dir: Path) -> None:
    parent, pid = parent_process(launchers, server_dir)
    os.killpg(parent.pid, signal.SIGINT)
    parent.wait()
    assert is_alive(pid)

    launcher(launchers, server_dir).start()


def test_a_server_that_was_killed_recovers_its_data(launchers: ExitStack, server_dir: Path) -> None:
    server = EmbeddedPostgres(server_dir, durable=True)
    launchers.callback(server.stop)
    administer(server.start(), "CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(server.pid, signal.SIGKILL)
    server.stop()

    assert administer(server.start(), "SELECT answer FROM kept")[0][0] == 42


def test_a_server_that_is_kept_running_comes_back_after_a_kill(launchers: ExitStack, server_dir: Path) -> None:
    server = EmbeddedPostgres(server_dir, durable=True)
    launchers.callback(server.stop)
    administer(server.start(), "CREATE TABLE kept AS SELECT 42 AS answer")
    first = server.pid

    with server.kept_running():
        for _ in range(2):
            killed = server.pid
            os.kill(killed, signal.SIGKILL)
            deadline = time.monotonic() + 30
            while server.pid == killed and time.monotonic() < deadline:
                time.sleep(0.05)
            assert administer(server.url, "SELECT answer FROM kept")[0][0] == 42
    last = server.pid
    server.stop()

    assert first != last
    assert not is_alive(last)


def test_a_server_and_its_parent_that_were_both_killed_leave_no_obstacle(
    launchers: ExitStack, server_dir: Path
) -> None:
    parent, pid = parent_process(launchers, server_dir)
    parent.kill()
    parent.wait()
    os.kill(pid, signal.SIGKILL)

    server = launcher(launchers, server_dir)
    administer(server.start(), "SELECT 1")

    assert server.pid != pid


def test_a_process_id_that_now_belongs_to_something_else_is_no_obstacle(launchers: ExitStack, server_dir: Path) -> None:
    server = launcher(launchers, server_dir)
    server.start()
    pid_file = server_dir / "cluster" / "postmaster.pid"
    lines = pid_file.read_text().split("\n")
    server.stop()
    bystander = launchers.enter_context(
        subprocess.Popen(["sleep", "600"], user=ServerAccount.choose().uid if AS_ROOT else None)
    )
    launchers.callback(bystander.kill)
    pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]))

    server.start()

    assert server.pid != bystander.pid
    assert bystander.poll() is None


def test_an_initialisation_that_was_cut_short_is_done_again(launchers: ExitStack, server_dir: Path) -> None:
    unfinished = server_dir / "cluster.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")

    administer(launcher(launchers, server_dir).start(), "SELECT 1")

    assert not unfinished.exists()


def test_a_long_path_gets_a_short_socket(launchers: ExitStack, server_dir: Path) -> None:
    deep = server_dir / ("d" * 60) / ("e" * 60)

    server = launcher(launchers, deep)
    administer(server.start(), "SELECT 1")
    assert server.home == deep
    socket_dir = Path(server.url.split("host=")[1].split("&")[0].replace("%2F", "/"))
    assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700

    server.stop()
    assert not socket_dir.exists()


@pytest.mark.skipif(not AS_ROOT, reason="only root's folders are out of the server's reach")
def test_a_folder_out_of_reach_says_where_its_data_is(launchers: ExitStack, server_dir: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    def start() -> EmbeddedPostgres:
        server = EmbeddedPostgres(closed, durable=False, elsewhere=server_dir / "elsewhere")
        launchers.callback(server.stop)
        server.start()
        return server

    first = start()
    assert first.home.parent == server_dir / "elsewhere"
    assert (closed / "moved-to").read_text().strip() == str(first.home)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    with pytest.raises(DataDirectoryInUse):
        start()
    first.stop()
    assert start().home == first.home


def test_data_that_went_missing_is_not_replaced_by_an_empty_database(server_dir: Path) -> None:
    (server_dir / "moved-to").write_text(f"{server_dir / 'gone'}\n")

    with pytest.raises(EmbeddedPostgresError, match="which is gone"):
        EmbeddedPostgres(server_dir).start()


@pytest.mark.skipif(not AS_ROOT, reason="only root starts the server as somebody else")
def test_binaries_out_of_reach_are_copied(server_dir: Path, tmp_path: Path) -> None:
    found = Binaries.find(None)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "installed").symlink_to(found.root)

    usable = Binaries(closed / "installed", found.version).usable_by(ServerAccount.choose(), server_dir)

    assert usable.root == server_dir / f"postgresql-{found.version}"
    with EmbeddedPostgres(server_dir, durable=False) as server:
        administer(server.url, "SELECT 1")


def test_data_of_a_version_that_is_not_here_is_left_alone(server_dir: Path) -> None:
    cluster = server_dir / "cluster"
    cluster.mkdir()
    (cluster / "PG_VERSION").write_text("9\n")

    with pytest.raises(EmbeddedPostgresError, match="belongs to PostgreSQL 9"):
        EmbeddedPostgres(server_dir).start()
    assert [path.name for path in cluster.iterdir()] == ["PG_VERSION"]


def test_a_server_that_cannot_start_says_why(launchers: ExitStack, server_dir: Path) -> None:
    server = launcher(launchers, server_dir)
    server.start()
    server.stop()
    (server_dir / "cluster" / "postgresql.conf").write_text("no_such_setting = 1\n")

    with pytest.raises(EmbeddedPostgresError, match="no_such_setting"):
        server.start()


def _stop_through_next_launcher(launchers: ExitStack, parent: "subprocess.Popen[str]", server_dir: Path) -> None:
    parent.kill()
    parent.wait()
    launcher(launchers, server_dir).start()
