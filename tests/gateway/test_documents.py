"""The pages for people, as a client without a browser sees them: what is on them, and what a browser is told."""

import re
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from events.registry import Event, event_types, forget
from infra.database import consumers, pauses
from infra.database.engine import Database
from infra.database.pauses import OPERATOR
from infra.subscriptions import Retry, Subscription
from tests import kinds
from tests.problems import told

HOSTILE = "<script>alert(1)</script>"
SCRIPTS = ("asking", "catalogue", "docs", "figures", "following", "page", "searching", "trying", "swagger-ui")
ASSETS = ("catalogue.css", "icon.svg", "swagger-ui.css", *(f"{name}.js" for name in SCRIPTS))
#: What a page loads or leads to, and what a script imports.
NAMED = re.compile(r"""(?:src=|href=|from )"(/[^"#]+)""")
one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def evil() -> Iterator[None]:
    """An event type whose words are markup."""

    class Before(Event, type="evil.happened", version=1):
        text: str

    class Evil(Event, type="evil.happened", version=2):
        __doc__ = HOSTILE
        text: str

    yield
    forget("evil.happened")


def declare(database: Database, *subscriptions: Subscription) -> None:
    with database.transaction() as session:
        consumers.declare(session, subscriptions)


def catalogue(client: TestClient) -> str:
    return client.get("/catalogue").raise_for_status().text


def test_every_type_has_its_place_with_its_version_and_whoever_announces_or_takes_it(
    client: TestClient, database: Database
) -> None:
    never = Retry(Retry.never(ValueError))
    declare(database, Subscription("sms", ("user.registered",), print, retry=never, ordered=True))
    page = catalogue(client)
    for event_type in event_types():
        assert f'<section class="type" id="{event_type}"' in page
    section = page.split('id="user.registered"')[1].split("</section>")[0]
    for words in ("version 1", "program <strong>gateway</strong>", "in order for each subject", "1 rule of its own"):
        assert words in section


def test_a_type_that_only_another_program_knows_is_said_to_be_one(client: TestClient, database: Database) -> None:
    declare(database, Subscription("parcels", ("parcel.sent",), print))
    assert "does not know the type" in catalogue(client).split('id="parcel.sent"')[1]


def test_a_kind_of_jobs_is_shown_with_its_parameters_and_asked_for_at_its_own_place(
    client: TestClient, database: Database
) -> None:
    kinds.declare(database)
    section = catalogue(client).split('id="job.requested.sales-report"')[1].split("</section>")[0]
    for words in (
        "POST /jobs",
        "program <strong>gateway</strong>",
        "<code>parameters.since</code>",
        "/schemas/job.requested/1",
    ):
        assert words in section
    assert "Publish a test event" not in section
    assert "A family" in catalogue(client).split('id="job.requested"')[1].split("</section>")[0]


def test_nothing_that_code_or_anybody_wrote_is_taken_for_markup(
    evil: None, client: TestClient, database: Database
) -> None:
    declare(database, Subscription("sms", ("evil.happened",), print, description=f'{HOSTILE}"`{HOSTILE}`'))
    page = catalogue(client)
    assert HOSTILE not in page
    assert "<code>&lt;script&gt;alert(1)&lt;/script&gt;</code>" in page


def test_versions_that_may_still_be_on_their_way_are_named(evil: None, client: TestClient) -> None:
    section = catalogue(client).split('id="evil.happened"')[1].split("</section>")[0]
    assert "version 2" in section
    assert 'reads <a href="/schemas/evil.happened/1">version 1</a> too' in section


def test_what_happens_on_the_bus_is_not_on_the_public_page(client: TestClient, database: Database) -> None:
    declare(database, Subscription("sms", ("user.registered",), print))
    before = catalogue(client)
    with database.transaction() as session:
        pauses.pause(session, "sms", OPERATOR, "no money")
    assert before == catalogue(client)


@one_database
@pytest.mark.parametrize("path", ["/catalogue", "/docs"])
def test_a_browser_may_load_nothing_from_elsewhere(client: TestClient, path: str) -> None:
    answer = client.get(path).raise_for_status()
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "form-action 'none'" in policy
    assert "http://" not in answer.text
    assert "https://" not in answer.text.replace("https://json-schema.org/draft/2020-12/schema", "")


@one_database
@pytest.mark.parametrize("path", ["/catalogue", "/docs", *(f"/assets/{name}" for name in ASSETS)])
def test_a_browser_that_has_it_is_not_sent_it_again(client: TestClient, path: str) -> None:
    tag = client.get(path).raise_for_status().headers["etag"]
    for condition in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = client.get(path, headers={"if-none-match": condition})
        assert (304, b"", tag) == (again.status_code, again.content, again.headers["etag"])
    assert 200 == client.get(path, headers={"if-none-match": '"other"'}).status_code


@one_database
@pytest.mark.parametrize("name", ["nothing.js", "..%2f..%2fapp.py", "catalogue.html", "__init__.py"])
def test_only_what_a_page_needs_is_served(client: TestClient, name: str) -> None:
    assert (404, "not-found") == told(client.get(f"/assets/{name}"))


@one_database
def test_every_file_that_a_page_or_a_script_names_is_there(client: TestClient) -> None:
    named, seen = ["/catalogue", "/docs"], set[str]()
    while named:
        seen.add(path := named.pop())
        text = client.get(path).raise_for_status().text
        if not path.startswith("/assets/swagger-ui"):
            named += {each[1] for each in NAMED.finditer(text)} - seen
    assert {f"/assets/{name}" for name in ASSETS} <= seen
