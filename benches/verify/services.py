"""The services that are measured, and how each is started."""

import dataclasses
import os
import pathlib
import time

import servers

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = HERE.parents[1] / "target" / "tools"
SECRET = "a secret of the load test, 32 bytes or more"


@dataclasses.dataclass
class Target:
    """A thing to measure: a route of a server, and keys that the server knows."""

    name: str
    route: str
    keys: int | None
    server: servers.Server
    port: int
    sample: pathlib.Path
    database: servers.Server | None = None


class Keyledger(servers.Server):
    """keyledger on the journal in a folder. It is ready once it has read the journal."""

    def __init__(self, program, folder):
        self.internal = servers.free_port()
        listen = servers.free_port()
        environment = {
            "KEYLEDGER_LISTEN": f"127.0.0.1:{listen}",
            "KEYLEDGER_INTERNAL_LISTEN": f"127.0.0.1:{self.internal}",
            "KEYLEDGER_JOURNAL_URL": f"sqlite://{folder}/journal.db",
            "KEYLEDGER_READ_URL": f"sqlite://{folder}/read.db",
            "KEYLEDGER_JWT_HS256_SECRET": SECRET,
            "KEYLEDGER_LOG_FORMAT": "json",
            "KEYLEDGER_MAX_KEYS_PER_OWNER": "100000",
        }
        begun = time.monotonic()
        super().__init__(
            [program, "serve"],
            log=folder / "keyledger.log",
            port=listen,
            path="/readyz",
            env=os.environ | environment,
        )
        self.ready_seconds = time.monotonic() - begun


def bare(baselines, folder):
    return servers.Server([baselines, "bare"], log=folder / "bare.log", announces=True)


def sqlx(baselines, folder, postgres, csv, kind="sqlx"):
    name = kind.replace("-", "_")
    url = postgres.database(name)
    postgres.fill(name, HERE / "given.sql", csv, HERE / "sqlx.sql")
    return servers.Server([baselines, kind, url], log=folder / f"{kind}.log", announces=True)


def starlette(folder, postgres, csv):
    postgres.database("starlette")
    postgres.fill("starlette", HERE / "given.sql", csv, HERE / "starlette" / "keys.sql")
    port = servers.free_port()
    command = [TOOLS / "starlette" / "bin" / "uvicorn", "app:app", "--app-dir", HERE / "starlette"]
    command += ["--host", "127.0.0.1", "--port", port, "--workers", "1"]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    url = postgres.url("starlette", "postgresql+asyncpg")
    environment = os.environ | {"PG_URL": url, "PYTHONDONTWRITEBYTECODE": "1"}
    return servers.Server(command, log=folder / "starlette.log", port=port, env=environment)


def better_auth(folder, postgres, csv):
    environment = os.environ | {"PG_URL": postgres.database("better_auth")}
    environment |= {"NODE_ENV": "production"}
    program = ["node", TOOLS / "better-auth" / "server.mjs"]
    log = folder / "better-auth.log"
    migration = servers.Server([*program, "migrate"], log=log, path=None, env=environment)
    if migration.process.wait(60) != 0:
        raise SystemExit(f"better-auth did not make its tables:\n{servers.tail(log)}")
    postgres.fill("better_auth", HERE / "given.sql", csv, HERE / "better-auth" / "keys.sql")
    port = servers.free_port()
    return servers.Server([*program, port], log=log, port=port, env=environment)
