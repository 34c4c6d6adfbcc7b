"""Tiny programs that stand for those of Tidings where a test is about starting and stopping alone."""

import os
import sys
from pathlib import Path

from infra.local.child import Child, Launch
from infra.local.output import LogFiles
from infra.local.places import Places

_SERVE = """
import http.server, os, signal, subprocess, sys, time

class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass

def serve():
    server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready)
    print("serving", flush=True)
    server.serve_forever()
"""
#: Each serves its probe on the port that it is given, until TERM, which it answers as its name says.
BEHAVIOURS = {
    "obedient": "serve()",
    "deaf": "signal.signal(signal.SIGTERM, signal.SIG_IGN); serve()",
    "parent": "print(subprocess.Popen(['sleep', '600']).pid, flush=True); serve()",
    "doomed": "print('it is broken'); sys.exit(3)",
    "slow": "print('still busy', flush=True); time.sleep(600)",
}


def child(places: Places, behaviour: str, port: int) -> Child:
    """A program of this behaviour, which writes into the log of its name."""
    command = (sys.executable, "-c", _SERVE + BEHAVIOURS[behaviour], str(port))
    probe = f"http://127.0.0.1:{port}/readyz"
    launch = Launch(behaviour, command, dict(os.environ), places.folder, places.pid_file(behaviour), probe)
    return Child(launch, LogFiles(places))


def is_alive(pid: int) -> bool:
    """Whether this process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
