"""Child processes that end with this one, and the CPU time and memory that they use."""

import http.client
import os
import pathlib
import signal
import socket
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A running server: its address, and the resources that it uses."""

    def __init__(self, command, *, log, port=None, announces=False, path="/", **options):
        # The kernel ends the servers when this process ends, for whatever reason.
        command = ["setpriv", "--pdeathsig", "KILL", *map(str, command)]
        with open(log, "ab") as errors:
            output = subprocess.PIPE if announces else errors
            self.process = subprocess.Popen(
                command, stdout=output, stderr=errors, stdin=subprocess.DEVNULL, **options
            )
        self.log = log
        self.pid = self.process.pid
        if announces:
            port = int(self.process.stdout.readline().rpartition(b":")[2])
        self.port = port
        if path is not None:
            self.await_answer(port, path)

    def await_answer(self, port, path, limit=600):
        """Waits until the server answers: with 200 to a probe, with any status to `/`."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                status, _, _ = ask(port, "GET", path)
                if path == "/" or status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.01)
        raise SystemExit(f"{self.process.args[3]} did not start:\n{tail(self.log)}")

    def cpu_seconds(self):
        """User and system time of the server and the processes that it has started."""
        return sum(process_cpu_seconds(pid) for pid in family(self.pid))

    def resident_mb(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def tail(log):
    return "\n".join(pathlib.Path(log).read_text(errors="replace").splitlines()[-20:])


def process_cpu_seconds(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return 0
    # Fields follow the last parenthesis; the process name before it may contain any character.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def family(pid):
    """A process and all its descendants."""
    found = [pid]
    for parent in found:
        for children in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except FileNotFoundError:
                pass
    return found


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port, method, path, body=None, headers=None):
    """Sends one request; returns status, headers and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()
