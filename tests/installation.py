"""A whole Tidings as a user has it: `./tidings up` with a state folder of its own, and what can be asked of it."""

import contextlib
import http.client
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select

from infra.database.engine import connect
from infra.database.tables import Activity, User, table
from infra.local.mailsink import witness
from tests.waiting import until

ROOT = Path(__file__).parents[1]
#: Seconds for a whole start; the broker's boot is most of it.
START = 120


class Installation:
    """Started by `up`, stopped by `down`; everything in between goes through the doors that a user has."""

    def __init__(self, state: Path, *, root: Path = ROOT, **settings: str) -> None:
        self.state = state
        self._root = root
        wish = 30000 + os.getpid() % 1000 * 2  # not reserved by us, else it would not be free to `up`
        own = {"STATE_DIR": str(state), "HTTP_PORT": str(wish), "LOG_FORMAT": "json", **settings}
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith("TIDINGS_")}
        self._environment |= {f"TIDINGS_{key}": value for key, value in own.items()}
        self._http: str | None = None

    def command(self, *arguments: str, seconds: float = START) -> subprocess.CompletedProcess[str]:
        """Run `./tidings` with these arguments to its end."""
        return subprocess.run(
            [str(self._root / "tidings"), *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def up(self, *options: str) -> None:
        """Start, detached."""
        self._http = None
        done = self.command("up", "--detach", *options)
        assert done.returncode == 0, done.stdout + done.stderr

    def down(self) -> None:
        """Stop."""
        done = self.command("down", seconds=60)
        assert done.returncode == 0, done.stdout + done.stderr

    def status(self) -> dict[str, Any]:
        """What `status --json` prints."""
        found: dict[str, Any] = json.loads(self.command("status", "--json").stdout)
        return found

    def process(self, name: str) -> dict[str, Any]:
        """One line of the status."""
        (found,) = [each for each in self.status()["processes"] if each["name"] == name]
        return dict(found)

    def await_ready(self) -> None:
        """Wait until every program is ready (again)."""
        until(
            lambda: all(each["state"] == "ready" for each in self.status()["processes"]),
            seconds=START,
            what="readiness of every program",
        )

    @contextlib.contextmanager
    def client(self) -> Iterator[http.client.HTTPConnection]:
        """A connection to the gateway."""
        if self._http is None:  # a program's run for each request would be most of a test
            self._http = str(self.status()["http"])
        parts = urlsplit(self._http)
        with contextlib.closing(http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=15)) as client:
            yield client

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """One request over a connection of its own, as the operator; gives status and JSON."""
        with self.client() as client:
            return ask(client, method, path, body, token=self.token())

    def token(self) -> str:
        """The operator's token."""
        return (self.state / "operator-token").read_text().strip()

    def mails(self) -> list[str]:
        """Recipients of all mails that the sink took, from its own log."""
        try:
            lines = witness(self.state / "mailbox").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [recipient for line in lines for recipient in json.loads(line)["to"]]

    def users(self) -> dict[str, str]:
        """Every user's address and the event that announced it, from the database itself."""
        rows = self._select(select(table(User).c.email, table(User).c.event_id))
        return {str(email): str(event_id) for email, event_id in rows}

    def activity(self, event_type: str = "user.registered") -> list[str]:
        """Events of a type in the activity log, from the database itself."""
        lines = table(Activity)
        return [str(row[0]) for row in self._select(select(lines.c.event_id).where(lines.c.type == event_type))]

    def _select(self, query: Any) -> Sequence[Any]:
        database = connect(self._environment.get("TIDINGS_DATABASE_URL") or f"sqlite:///{self.state}/tidings.db")
        try:
            with database.reading() as session:
                return session.connection().execute(query).all()
        finally:
            database.close()


def ask(
    client: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    token: str | None = None,
    key: str | None = None,
) -> tuple[int, Any]:
    """One request; gives status and JSON."""
    headers = {"content-type": "application/json"} if body is not None else {}
    headers |= {"authorization": f"Bearer {token}"} if token else {}
    headers |= {"idempotency-key": key} if key else {}
    client.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = client.getresponse()
    return answer.status, json.loads(answer.read())
