"""`GET /jobs/{id}/result`: the file itself, chosen by what the client takes, and the reason when there is none."""

from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from httpx2 import Response
from sqlalchemy import update
from starlette.testclient import TestClient

from infra.database.engine import Database
from infra.database.job_tables import JobFile
from infra.database.tables import table
from infra.jobs.storing import Folder
from infra.settings import Settings
from tests.gateway.conftest import TOKEN
from tests.madejobs import WEEK, Jobs
from tests.problems import told
from tests.web_server import WebServer

CSV = ("report.csv", "text/csv", "Zürich,1\n".encode())
JSON = ("report.json", "application/json", b"{}")
HTML = ("report.html", "text/html", b"<p>")
DIGITS = ("digits.txt", "text/plain", b"0123456789")


@pytest.fixture
def folder(settings: Settings) -> Folder:
    return Folder(settings.state_dir / "results")


@pytest.fixture
def jobs(database: Database, folder: Folder) -> Jobs:
    return Jobs(database, folder)


def refused(answer: Response, status: int, kind: str) -> dict[str, Any]:
    """What a problem of this kind says."""
    assert (status, kind) == told(answer)
    return dict(answer.json())


def test_the_result_is_the_file_with_its_type_and_name_and_what_tells_it_from_others(
    operator: TestClient, jobs: Jobs
) -> None:
    answer = operator.get(f"/jobs/{jobs.made('succeeded', CSV)}/result")
    assert (200, CSV[2], "10") == (answer.status_code, answer.content, answer.headers["content-length"])
    assert "text/csv; charset=utf-8" == answer.headers["content-type"]
    assert 'inline; filename="report.csv"' == answer.headers["content-disposition"]
    assert f'"{sha256(CSV[2]).hexdigest()}"' == answer.headers["etag"]


def test_a_report_cannot_run_scripts_at_the_gateways_address(operator: TestClient, jobs: Jobs) -> None:
    answer = operator.get(f"/jobs/{jobs.made('succeeded', HTML)}/result")
    assert "nosniff" == answer.headers["x-content-type-options"]
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'; style-src")


def test_what_no_browser_shows_is_for_keeping(operator: TestClient, jobs: Jobs) -> None:
    answer = operator.get(f"/jobs/{jobs.made('succeeded', ('all.zip', 'application/zip', b''))}/result")
    assert ("0", b"", 'attachment; filename="all.zip"') == (
        answer.headers["content-length"],
        answer.content,
        answer.headers["content-disposition"],
    )


def test_who_has_it_is_told_so(operator: TestClient, jobs: Jobs) -> None:
    path = f"/jobs/{jobs.made('succeeded', CSV)}/result"
    tag = operator.get(path).headers["etag"]
    for condition, status in ((tag, 304), (f'"a", W/{tag}', 304), ("*", 304), ('"another"', 200)):
        answer = operator.get(path, headers={"if-none-match": condition})
        assert (status, tag) == (answer.status_code, answer.headers["etag"])


#: What is asked for, the answer's status, its content, and what it says of it.
RANGES = [
    ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
    ("bytes=7-", 206, b"789", "bytes 7-9/10"),
    ("bytes=-2", 206, b"89", "bytes 8-9/10"),
    ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
    ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
    ("bytes=0-1,4-5", 200, DIGITS[2], None),
    ("bytes=5-3", 200, DIGITS[2], None),
    ("bytes=-", 200, DIGITS[2], None),
    ("lines=1-2", 200, DIGITS[2], None),
    ("bytes=10-", 416, None, "bytes */10"),
    ("bytes=-0", 416, None, "bytes */10"),
]


def test_a_range_is_sent_where_it_can_be_read(operator: TestClient, jobs: Jobs) -> None:
    path = f"/jobs/{jobs.made('succeeded', DIGITS)}/result"
    for asked, status, content, said in RANGES:
        answer = operator.get(path, headers={"range": asked})
        assert (status, said) == (answer.status_code, answer.headers.get("content-range")), asked
        assert content in {None, answer.content}, asked


def test_a_range_is_of_the_file_that_the_client_has_begun_with(operator: TestClient, jobs: Jobs) -> None:
    path = f"/jobs/{jobs.made('succeeded', DIGITS)}/result"
    tag = operator.get(path).headers["etag"]
    for condition, status in ((tag, 206), ('"another"', 200), (f"W/{tag}", 200)):
        assert status == operator.get(path, headers={"range": "bytes=1-2", "if-range": condition}).status_code
    empty = operator.get(
        f"/jobs/{jobs.made('succeeded', ('e', 'text/plain', b''))}/result", headers={"range": "bytes=0-"}
    )
    assert (200, b"") == (empty.status_code, empty.content)


#: What a client takes, and what it gets.
LIKED = {
    "*/*": "report.csv",
    "application/json": "report.json",
    "text/html,application/xhtml+xml,*/*;q=0.8": "report.html",
    "text/*;q=0.5, application/json;q=0.4": "report.csv",
    "text/csv;q=0, text/*": "report.html",
    "TEXT/HTML;level=1;q=0.9": "report.html",
    "nonsense, text/html": "report.html",
    "text/csv;q=.2, application/json;q=0.3001": "report.json",
    "text/csv;q=1.000, application/json;q=7": "report.csv",
}


def test_of_several_files_the_client_gets_the_one_that_it_likes_best(operator: TestClient, jobs: Jobs) -> None:
    path = f"/jobs/{jobs.made('succeeded', CSV, JSON, HTML)}/result"
    for accept, name in LIKED.items():
        answer = operator.get(path, headers={"accept": accept})
        assert (f'inline; filename="{name}"', "Accept") == (
            answer.headers["content-disposition"],
            answer.headers["vary"],
        )
    for accept in ("image/png", "*/*;q=0"):
        seen = refused(operator.get(path, headers={"accept": accept}), 406, "not-acceptable")
        assert "There is text/csv, application/json, text/html." == seen["detail"]


def test_what_is_so_small_that_it_needs_no_file_is_sent_as_any_other(operator: TestClient, jobs: Jobs) -> None:
    path = f"/jobs/{jobs.small('Zürich,1')}/result/report.csv"
    assert (b"rich", 0) == (operator.get(path, headers={"range": "bytes=3-6"}).content, jobs.on_disk())
    assert 304 == operator.get(path, headers={"if-none-match": operator.get(path).headers["etag"]}).status_code


def test_each_file_has_an_address(operator: TestClient, jobs: Jobs) -> None:
    path = f"/jobs/{jobs.made('succeeded', CSV, JSON)}/result"
    assert [CSV[2], JSON[2]] == [operator.get(f"{path}/{name}").content for name in ("report.csv", "report.json")]
    refused(operator.get(f"{path}/report.pdf"), 404, "not-found")
    refused(operator.get(f"{path}/..%2f..%2fetc%2fpasswd"), 404, "not-found")


def test_without_success_there_is_no_result_and_the_state_is_told(operator: TestClient, jobs: Jobs) -> None:
    for state in ("queued", "running", "retrying", "failed", "cancelled"):
        answer = operator.get(f"/jobs/{jobs.made(state, CSV)}/result")
        assert state == refused(answer, 409, "job-unfinished")["state"]
        assert (state not in {"failed", "cancelled"}) == ("retry-after" in answer.headers)


def test_a_result_that_has_expired_is_gone_whether_its_file_was_removed_or_not(
    operator: TestClient, jobs: Jobs, folder: Folder
) -> None:
    path = f"/jobs/{jobs.made('succeeded', CSV, age=2 * WEEK)}/result"
    refused(operator.get(path), 410, "gone")
    folder.remove(str(jobs.stored()[0]))
    assert "TIDINGS_KEEP_RESULTS" in refused(operator.get(path), 410, "gone")["detail"]


def test_what_an_erasure_has_removed_is_gone_and_the_answer_says_that_it_may_be_so(
    operator: TestClient, jobs: Jobs, database: Database
) -> None:
    path = f"/jobs/{jobs.made('succeeded', CSV)}/result"
    database.run(lambda session: session.connection().execute(update(table(JobFile)).values(key=None)))
    assert "erased" in refused(operator.get(path), 410, "gone")["detail"]


def test_where_nothing_ever_was_there_is_nothing(operator: TestClient, jobs: Jobs, client: TestClient) -> None:
    refused(operator.get(f"/jobs/{uuid4()}/result"), 404, "not-found")
    refused(operator.get("/jobs/nonsense/result"), 404, "not-found")
    without = jobs.made("succeeded")
    assert "gives no result" in refused(operator.get(f"/jobs/{without}/result"), 404, "not-found")["detail"]
    refused(client.get(f"/jobs/{without}/result"), 401, "unauthorized")


def test_a_file_that_this_gateways_store_does_not_have_is_a_fault_and_not_gone(
    operator: TestClient, jobs: Jobs, folder: Folder
) -> None:
    path = f"/jobs/{jobs.made('succeeded', CSV)}/result"
    folder.remove(str(jobs.stored()[0]))
    assert "TIDINGS_RESULTS_URL" in refused(operator.get(path), 503, "unavailable")["detail"]


def test_a_head_says_how_long_it_is_and_reads_nothing(operator: TestClient, jobs: Jobs) -> None:
    answer = operator.head(f"/jobs/{jobs.made('succeeded', CSV)}/result")
    assert (200, b"", "10") == (answer.status_code, answer.content, answer.headers["content-length"])


def test_a_range_is_for_get_only(operator: TestClient, jobs: Jobs) -> None:
    path = f"/jobs/{jobs.made('succeeded', DIGITS)}/result"
    for asked in ("bytes=2-4", "bytes=10-"):
        answer = operator.head(path, headers={"range": asked})
        assert (200, "10", None) == (
            answer.status_code,
            answer.headers["content-length"],
            answer.headers.get("content-range"),
        )


def test_a_long_file_comes_whole_over_a_real_server_and_one_who_leaves_stops_it(
    server: WebServer, sqlite_database: Database, folder: Folder
) -> None:
    content = bytes(range(256)) * 20_000
    job_id = Jobs(sqlite_database, folder).made("succeeded", ("long.bin", "application/x", content))
    request = f"GET /jobs/{job_id}/result HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {TOKEN}\r\n\r\n".encode()
    assert content == server.send(request).body
    with server.connected(request) as connection:
        assert b"HTTP/1.1 200" == connection.recv(12)
    assert content == server.send(request).body
