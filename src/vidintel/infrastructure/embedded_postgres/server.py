"""A PostgreSQL server that this process starts and supervises, for machines without a database server.

Only the account of this process can connect. The server listens only on a Unix socket in a private directory, and
authenticates by the account of the caller (``peer``), so there is no password.

A data folder holds ``launcher.lock`` (locked while a launcher uses the folder), ``server.log``, and ``cluster``. As
root, this process runs the server as ``nobody``. If that account cannot access the data folder, the cluster is kept
elsewhere, and the file ``moved-to`` in the data folder has its path.
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy import URL

from vidintel.infrastructure.embedded_postgres.binaries import Binaries, EmbeddedPostgresError, ServerAccount
from vidintel.infrastructure.embedded_postgres.postmaster import Postmaster

__all__ = ["DATABASE", "ROLE", "DataDirectoryInUse", "EmbeddedPostgres", "EmbeddedPostgresError"]

ROLE = "vidintel"
DATABASE = "vidintel"

_PORT = 5432
_SOCKET_PATH_MAX = 103
"""Bytes of a Unix socket's path that every system accepts (Linux takes 107)."""
_SILENT_S = 15.0
_RECOVERY_S = 600.0
_POLL_S = 0.05
_WATCH_S = 0.5
_AGAIN_S = 5.0
_ENVIRONMENT = {"PATH": os.defpath, "LANG": "C", "TZ": "UTC"}
_NOT_DURABLE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")

_log = structlog.get_logger(__name__)


class DataDirectoryInUse(EmbeddedPostgresError):
    """Another launcher uses the data folder."""


class EmbeddedPostgres:
    """One server with its data under ``data_dir``.

    The server survives Ctrl-C and the death of its parent; the next launcher on the folder takes it over.
    ``durable=False`` gives up safety against power loss for speed, in tests. When the server cannot access root's data
    folder, its data is kept under ``elsewhere``.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True, elsewhere: Path = Path("/var/lib/vidintel")) -> None:
        self._data_dir = data_dir.absolute()
        self._durable = durable
        self._elsewhere = elsewhere
        self._account = ServerAccount.choose()
        self._held = ExitStack()
        self._home = self._data_dir
        self._socket_dir = self._data_dir
        self._binaries: Binaries | None = None
        self._postmaster: Postmaster | None = None

    @property
    def server_version(self) -> str:
        """Like ``18.4``."""
        return self._require_binaries().version

    @property
    def home(self) -> Path:
        """The folder that holds the data, which may be elsewhere than ``data_dir``."""
        return self._home

    @property
    def pid(self) -> int:
        """The server's process id, once started."""
        assert self._postmaster is not None
        return self._postmaster.pid

    @property
    def url(self) -> str:
        """``postgresql+asyncpg://…`` of the application's database."""
        query = {"host": str(self._socket_dir), "port": str(_PORT)}
        return URL.create("postgresql+asyncpg", ROLE, database=DATABASE, query=query).render_as_string()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> str:
        """Start the server, or take over the one that an earlier launcher left running; returns its `url`.

        Raises `DataDirectoryInUse`, and `EmbeddedPostgresError` when the server does not come up.
        """
        try:
            self._occupy()
            self._prepare()
            self._postmaster = self._take_over() or self._launch()
            self._create_database()
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """Shut the server down, and unlock the data folder. Does nothing when the server was not started."""
        postmaster, self._postmaster = self._postmaster, None
        try:
            if postmaster is not None:
                postmaster.stop()
                if self._socket_dir.parent != self._home:
                    shutil.rmtree(self._socket_dir)
        finally:
            self._held.close()

    @contextmanager
    def kept_running(self) -> Iterator[None]:
        """While the block lasts, restart the server whenever it dies. It recovers its data and keeps its `url`."""
        ended = threading.Event()
        keeper = threading.Thread(target=self._keep_running, args=(ended,), name="postgres-keeper", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ended.set()
            keeper.join()

    def _keep_running(self, ended: threading.Event) -> None:
        while not ended.wait(_WATCH_S):
            if self._postmaster is None or self._postmaster.is_running:
                continue
            _log.error("postgres.died", pid=self._postmaster.pid)
            try:
                self._postmaster = self._take_over() or self._launch()
            except (EmbeddedPostgresError, OSError) as error:
                _log.error("postgres.not_restarted", error=str(error), again_in_s=_AGAIN_S)
                ended.wait(_AGAIN_S)
            else:
                _log.info("postgres.restarted", pid=self._postmaster.pid)

    @property
    def _cluster(self) -> Path:
        return self._home / "cluster"

    def _occupy(self) -> None:
        if not self._data_dir.exists():
            self._data_dir.mkdir(parents=True)
            self._data_dir.chmod(0o755)
        self._lock(self._data_dir)
        moved_to = self._data_dir / "moved-to"
        if moved_to.exists():
            self._home = Path(moved_to.read_text().strip())
            if not self._home.is_dir():
                raise EmbeddedPostgresError(
                    f"The database was kept in {self._home}, which is gone. Bring it back, or remove {moved_to} to "
                    "begin with an empty one."
                )
        elif not self._account.can_enter(self._data_dir):
            digest = hashlib.sha256(os.fsencode(self._data_dir)).hexdigest()[:12]
            self._home = self._elsewhere / f"postgres-{digest}"
            self._home.mkdir(parents=True, exist_ok=True)
            self._home.chmod(0o755)
            moved_to.write_text(f"{self._home}\n")
        if self._home != self._data_dir:
            self._lock(self._home)
            _log.warning("postgres.moved", data_dir=str(self._data_dir), home=str(self._home), reason="out of reach")
        if not self._account.can_enter(self._home):
            raise EmbeddedPostgresError(f"The account that PostgreSQL runs under cannot reach {self._home}.")

    def _lock(self, directory: Path) -> None:
        file = self._held.enter_context((directory / "launcher.lock").open("a+"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise DataDirectoryInUse(
                f"The database in {directory} is in use by process {file.read().strip() or 'unknown'}. "
                "Stop that one, or choose another data folder."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()

    def _prepare(self) -> None:
        version_file = self._cluster / "PG_VERSION"
        major = version_file.read_text().strip() if version_file.exists() else None
        self._binaries = Binaries.find(major).usable_by(self._account, self._home)
        if major is None:
            self._initialise()
        self._socket_dir = self._home / "socket"
        if len(os.fsencode(self._socket_dir / f".s.PGSQL.{_PORT}")) > _SOCKET_PATH_MAX:
            digest = hashlib.sha256(os.fsencode(self._home)).hexdigest()[:16]
            self._socket_dir = Path("/tmp") / f"vidintel-{digest}"  # noqa: S108 - verified below to be ours alone
        if not self._socket_dir.exists():
            self._socket_dir.mkdir(mode=0o700)
            self._account.own(self._socket_dir, 0o700)
        state = self._socket_dir.lstat()
        if not self._socket_dir.is_dir() or state.st_uid != self._account.uid or state.st_mode & 0o077:
            raise EmbeddedPostgresError(f"{self._socket_dir} belongs to another account. Remove it.")

    def _initialise(self) -> None:
        unfinished = self._home / "cluster.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        self._account.own(unfinished, 0o700)
        options = [f"--username={ROLE}", "--auth=peer", "--encoding=UTF8"]
        options += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if not self._durable:
            options.append("--no-sync")
        self._run("initdb", "--pgdata", str(unfinished), *options, as_server=True)
        unfinished.rename(self._cluster)

    def _arguments(self) -> list[str]:
        settings = ["listen_addresses=", f"unix_socket_directories={self._socket_dir}", f"port={_PORT}"]
        settings += ["unix_socket_permissions=0700", "timezone=UTC", "log_timezone=UTC"]
        if not self._durable:
            settings += _NOT_DURABLE
        arguments = ["-D", str(self._cluster)]
        for setting in settings:
            arguments += ["-c", setting]
        return arguments

    def _take_over(self) -> Postmaster | None:
        running = Postmaster.left_behind(self._cluster)
        if running is None:
            return None
        if running.was_started_with(self._arguments()) and self._is_ready(running):
            _log.info("postgres.taken_over", pid=running.pid)
            return running
        running.stop()
        return None

    def _launch(self) -> Postmaster:
        self._admit_only_us()
        for left_behind in self._socket_dir.iterdir():
            left_behind.unlink()
        deadline = time.monotonic() + _SILENT_S
        while True:
            log_path = self._home / "server.log"
            with log_path.open("wb") as log:
                log_path.chmod(0o600)
                child = subprocess.Popen(
                    [self._require_binaries().path("postgres"), *self._arguments()],
                    cwd=self._home,
                    env=_ENVIRONMENT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    umask=0o077,
                    **self._account.run_as,
                )
            launched = Postmaster(child.pid, self._cluster, child)
            try:
                if self._is_ready(launched):
                    return launched
            except BaseException:
                launched.stop()
                raise
            launched.stop()
            said = log_path.read_text(errors="replace").strip()
            # The last children of a server that was killed may need a moment to go.
            if "is still in use" not in said or time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"PostgreSQL did not start. It said: {said[-2000:]}")
            time.sleep(_POLL_S)

    def _admit_only_us(self) -> None:
        user = _our_name().replace('"', '""')
        for name, line in (
            ("pg_hba.conf", f"local all {ROLE} peer map=launcher\n"),
            ("pg_ident.conf", f'launcher "{user}" {ROLE}\n'),
        ):
            path = self._cluster / name
            path.write_text(line)
            self._account.own(path, 0o600)

    def _is_ready(self, postmaster: Postmaster) -> bool:
        """Wait until it accepts connections; ``False`` when it ended, or did not respond in time."""
        began = time.monotonic()
        command = [self._require_binaries().path("pg_isready"), "-q", "-h", str(self._socket_dir), "-p", str(_PORT)]
        while postmaster.is_running:
            answer = subprocess.run(command, env=_ENVIRONMENT, check=False).returncode
            if answer == 0:
                return True
            recovering = answer == 1
            if time.monotonic() - began > (_RECOVERY_S if recovering else _SILENT_S):
                return False
            time.sleep(_POLL_S)
        return False

    def _create_database(self) -> None:
        self._run(
            "psql",
            *("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--username={ROLE}", "--dbname=postgres"),
            *("--host", str(self._socket_dir), "--port", str(_PORT)),
            script=f"SELECT 'CREATE DATABASE {DATABASE}' "  # noqa: S608 - a constant
            f"WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') \\gexec\n",
        )

    def _run(self, program: str, *arguments: str, script: str = "", as_server: bool = False) -> None:
        done = subprocess.run(
            [self._require_binaries().path(program), *arguments],
            cwd=self._home,
            env=_ENVIRONMENT,
            input=script,
            capture_output=True,
            text=True,
            check=False,
            **(self._account.run_as if as_server else {}),
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise EmbeddedPostgresError(f"{program} failed. It said: {said[-2000:]}")

    def _require_binaries(self) -> Binaries:
        if self._binaries is None:
            self._binaries = Binaries.find(None)
        return self._binaries


def _our_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise EmbeddedPostgresError(
            f"The embedded PostgreSQL needs a named account, and user {os.geteuid()} has no name. Run as another user, "
            "or set VIDINTEL_DATABASE__URL to a server of your own."
        ) from None
