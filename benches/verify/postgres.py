"""A PostgreSQL server for this load test only, with default settings."""

import glob
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import time

import servers


def program(name):
    """The path of a program of the newest PostgreSQL that is installed, or else the one on PATH."""
    found = glob.glob(f"/usr/lib/postgresql/*/bin/{name}")
    newest = max(found, key=lambda path: int(path.split("/")[4]), default=None)
    return newest or shutil.which(name) or name


def unprivileged():
    """The command prefix that changes the user if this is root: PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return [], None
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwnam("nobody")
    change = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return ["setpriv", *change], user


class Postgres:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        become, user = unprivileged()
        if user:
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        data = self.folder / "data"
        log = self.folder.parent / "postgres.log"
        initdb = [program("initdb"), "--auth=trust", "--username=postgres", "--encoding=UTF8"]
        initdb += ["--no-locale", "--no-sync", "--pgdata", str(data)]
        made = subprocess.run([*become, *initdb], cwd=folder, capture_output=True, text=True)
        if made.returncode != 0:
            raise SystemExit(f"initdb failed:\n{made.stderr}")
        self.port = servers.free_port()
        command = [program("postgres"), "-D", data, "-k", self.folder]
        command += ["-p", self.port, "-h", "127.0.0.1"]
        self.server = servers.Server([*become[1:], *command], log=log, path=None, cwd=folder)
        self.wait()

    def wait(self):
        ready = [program("pg_isready"), "-q", "-d", self.url("postgres")]
        for _ in range(600):
            if subprocess.run(ready).returncode == 0:
                return
            time.sleep(0.1)
        raise SystemExit(f"PostgreSQL did not start:\n{servers.tail(self.server.log)}")

    def url(self, database, scheme="postgres"):
        return f"{scheme}://postgres@127.0.0.1:{self.port}/{database}"

    def database(self, name):
        """Creates a database and returns its URL."""
        self.psql(self.url("postgres"), "-c", f"CREATE DATABASE {name}")
        return self.url(name)

    def psql(self, url, *arguments, stdin=subprocess.DEVNULL):
        command = [program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, *arguments]
        subprocess.run(list(map(str, command)), stdin=stdin, check=True)

    def fill(self, name, given, csv, keys):
        """Fills a service's table with the keys of the load test."""
        url = self.url(name)
        with open(csv, "rb") as rows:
            self.psql(url, "-f", given, stdin=rows)
        self.psql(url, "-f", keys, "-c", "DROP TABLE given", "-c", "VACUUM ANALYZE")

    def stop(self):
        self.server.stop(signal.SIGINT)
