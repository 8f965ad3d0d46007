"""Real database servers for tests: Debian's packages, on loopback, in a folder that goes again.

A server that is not installed skips the tests that need it, and says what to install. They run as
an unprivileged user where the tests run as root, which PostgreSQL refuses to.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sql

USER, PASSWORD = "shop", "pass/word@home"
START_S = 60


@dataclass
class Server:
    """A running server that makes an empty database for each test."""

    driver: str
    port: int
    process: subprocess.Popen
    start: object = None
    numbers: count = field(default_factory=lambda: count(1))

    def url(self, database, password=PASSWORD):
        made = sql.URL.create(self.driver, USER, password, "127.0.0.1", self.port, database)
        return made.render_as_string(hide_password=False)

    def database(self):
        """Make an empty database and return its URL."""
        name = f"shop_{next(self.numbers)}"
        first = "postgres" if self.driver.startswith("postgresql") else None
        engine = sql.create_engine(self.url(first), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self.url(name)

    def wait(self, log):
        """Return when it answers; fail with its own words if it does not."""
        until = time.monotonic() + START_S
        first = "postgres" if self.driver.startswith("postgresql") else None
        engine = sql.create_engine(self.url(first))
        while True:
            try:
                engine.connect().close()
                engine.dispose()
                return
            except sql.exc.OperationalError:
                if self.process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(log.read_text(errors="replace")[-2000:]) from None
                time.sleep(0.1)

    def restart(self, meanwhile):
        """Stop the server with every connection to it, and start it again after `meanwhile`."""
        stop(self.process)
        try:
            meanwhile()
        finally:
            self.process, log = self.start()
            self.wait(log)


def stop(process):
    """End a server that we started, at once but in order."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT if "postgres" in process.args[0] else signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _program(*names):
    """Return the path of a server's program, or skip the test."""
    places = ["/usr/sbin", *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")))[::-1]]
    for name in names:
        found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(places))
        if found:
            return found
    package = {"initdb": "postgresql", "postgres": "postgresql"}.get(names[0], "mariadb-server")
    pytest.skip(f"'{names[0]}' is not installed: apt-get install {package}")


def _unprivileged():
    """Name a user to start servers as: ourselves, or `nobody` for root."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def _folder():
    """A short-named folder, for a socket lies in it, that the unprivileged user owns."""
    folder = Path(tempfile.mkdtemp(prefix="shop-"))
    as_whom = _unprivileged()
    if as_whom:
        os.chown(folder, as_whom["user"], as_whom["group"])
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _run(command, folder):
    """Run a preparing command as the unprivileged user; its output is the error's."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)}, **_unprivileged(),
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stdout[-1000:] + done.stderr[-1000:])


@contextlib.contextmanager
def _served(driver, port, command, folder):
    log = folder / "server.log"

    def start():
        with log.open("ab") as out:
            process = subprocess.Popen(
                command, cwd=folder, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                **_unprivileged(),
            )  # fmt: skip
        return process, log

    server = Server(driver, port, start()[0], start)
    try:
        server.wait(log)
        yield server
    finally:
        stop(server.process)


@pytest.fixture(scope="session")
def postgresql_server():
    initdb, postgres, port = _program("initdb"), _program("postgres"), _free_port()
    with _folder() as folder:
        secret = folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        data = folder / "data"
        _run(
            [initdb, "-D", data, "-U", USER, f"--pwfile={secret}", "--auth=scram-sha-256",
             "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"],
            folder,
        )  # fmt: skip
        command = [postgres, "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder]
        with _served(
            "postgresql+psycopg", port, [*command, "-c", "max_wal_size=2GB"], folder
        ) as server:
            yield server


@pytest.fixture(scope="session")
def mariadb_server():
    install, mariadbd = _program("mariadb-install-db"), _program("mariadbd")
    port = _free_port()
    with _folder() as folder:
        data, first = folder / "data", folder / "first.sql"
        first.write_text(
            f"CREATE OR REPLACE USER {USER}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO {USER}@'127.0.0.1';"
        )
        first.chmod(0o644)
        _run(
            [install, "--no-defaults", f"--datadir={data}", "--skip-test-db",
             "--auth-root-authentication-method=normal"],
            folder,
        )  # fmt: skip
        # Without Debian's own settings: it then keeps latin1 unless told otherwise.
        command = [
            mariadbd, "--no-defaults", f"--datadir={data}", f"--port={port}",
            "--bind-address=127.0.0.1", f"--socket={folder / 'socket'}", "--skip-name-resolve",
            f"--pid-file={folder / 'pid'}", f"--init-file={first}",
        ]  # fmt: skip
        with _served("mysql+pymysql", port, command, folder) as server:
            yield server


_SERVERS = [pytest.param(kind, marks=pytest.mark.faults) for kind in ("postgresql", "mariadb")]

every_server = pytest.mark.parametrize("kind", _SERVERS)
"""Runs a test on each of the servers, by `make test-faults`."""

every_database = pytest.mark.parametrize("kind", ["sqlite", *_SERVERS])
"""Runs a test on SQLite too, and there by `make test` as well."""


def server_of(request, kind):
    """Return the running server of a kind, started by the first test that asks."""
    return request.getfixturevalue(f"{kind}_server")


def database_of(request, kind, folder):
    """Return the URL of an empty database of a kind; SQLite's lies in `folder`."""
    return (
        f"sqlite:///{folder}/shop.db" if kind == "sqlite" else server_of(request, kind).database()
    )
