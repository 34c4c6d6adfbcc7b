"""A newcomer's first event without a terminal: the catalogue of a whole Tidings, in a browser."""

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import visit
from tests.installation import Installation
from tests.waiting import until

pytestmark = pytest.mark.system


def test_a_test_event_is_published_and_followed_until_each_consumer_is_through(
    browser: Browser, on_sqlite: Installation
) -> None:
    seen = visit(browser, str(on_sqlite.status()["http"]), "/catalogue")
    page = seen.page
    page.get_by_label("Operator token").fill(on_sqlite.token())
    page.get_by_role("button", name="Use").click()
    section = page.locator('section[data-type="user.registered"]')
    section.get_by_text("Publish a test event").click()
    data = section.get_by_label("Data, as JSON")
    data.fill(data.input_value().replace("ada@example.com", "catalogue@example.com"))
    section.get_by_label("I want this event to be published").check()
    section.get_by_role("button", name="Publish").click()

    outcome = section.locator(".outcome")
    expect(outcome).to_contain_text("Every consumer is through.", timeout=30_000)
    expect(outcome.locator("li")).to_have_text(["activity-log: handled", "welcome-email: handled"])
    until(lambda: "catalogue@example.com" in on_sqlite.mails(), what="the mail")
    assert ([], []) == (seen.elsewhere, seen.errors)
    page.context.close()
