"""The activity report on real servers: asked for over HTTP and by the timetable, fetched, and in the mail."""

import json
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest

from tests.installation import Installation
from tests.waiting import until

pytestmark = pytest.mark.system


def ended(installation: Installation, job_id: str) -> dict[str, Any]:
    """The job, once its result is there."""

    def seen() -> dict[str, Any] | None:
        status, job = installation.ask("GET", f"/jobs/{job_id}")
        assert job["state"] not in {"failed", "cancelled"}, job
        return job if status == 303 else None

    return until(seen, seconds=30, what="the end of the job") or {}


def mails(installation: Installation, to: str) -> list[EmailMessage]:
    found = (installation.state / "mailbox").glob(f"*{to}.eml")
    return [message_from_bytes(each.read_bytes(), policy=policy.default) for each in found]


def told(installation: Installation) -> str:
    """All that the operator was mailed."""
    bodies = (mail.get_body(("plain",)) for mail in mails(installation, "operator@tidings.example"))
    return "\n".join(body.get_content() for body in bodies if body is not None)


def test_a_report_is_asked_for_fetched_and_mailed(installation: Installation) -> None:
    _, user = installation.ask("POST", "/users", {"name": "Mary Somerville", "email": "mary@example.com"})
    until(lambda: user["event_id"] in installation.activity(), what="the line in the log")
    today = datetime.now(UTC).date()
    span = {"since": str(today - timedelta(days=1)), "until": str(today + timedelta(days=1))}
    wanted = {"kind": "activity-report", "parameters": {**span, "zone": "UTC", "mail_to": "caroline@example.com"}}
    status, job = installation.ask("POST", "/jobs", wanted)
    assert (202, "operator") == (status, job["requested_by"])
    files = {file["name"]: file["href"] for file in ended(installation, job["id"])["files"]}
    assert ["report.csv", "report.json", "report.html"] == list(files)
    _, report = installation.ask("GET", files["report.json"])
    assert report["types"]["user.registered"] >= 1
    (mail,) = until(lambda: mails(installation, "caroline@example.com"), what="the mail")
    (table,) = mail.iter_attachments()
    assert b",user.registered," in table.get_payload(decode=True)


def test_who_watches_a_report_hears_of_its_end(installation: Installation) -> None:
    _, job = installation.ask("POST", "/jobs", {"kind": "activity-report", "parameters": {}})
    with installation.client() as client:
        client.request("GET", f"/jobs/{job['id']}/stream", headers={"authorization": f"Bearer {installation.token()}"})
        *_, event, _, data = client.getresponse().read().decode().strip().split("\n")
    seen = json.loads(data.removeprefix("data: "))
    assert ("event: end", "succeeded", f"/jobs/{job['id']}/result") == (event, seen["state"], seen["result"])


def test_parameters_that_make_no_report_are_refused_by_name(on_sqlite: Installation) -> None:
    wanted = {"kind": "activity-report", "parameters": {"since": "yesterday"}}
    status, problem = on_sqlite.ask("POST", "/jobs", wanted)
    assert (422, True) == (status, "since" in json.dumps(problem["errors"]))


def test_the_timetable_has_the_day_reported(on_sqlite: Installation) -> None:
    done = on_sqlite.command("schedules", "run", "daily-report", "--why", "a test")
    assert done.returncode == 0, done.stdout + done.stderr

    def asked() -> Any:
        _, page = on_sqlite.ask("GET", "/jobs?requested_by=daily-report")
        return page["items"]

    job = until(asked, what="the job")[0]
    assert "UTC" == ended(on_sqlite, job["id"])["parameters"]["zone"]
    until(lambda: f"/jobs/{job['id']}/result" in told(on_sqlite), what="the mail of the day")
