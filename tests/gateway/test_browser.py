"""The pages in a browser that reaches nothing but the gateway: searched, used by keyboard, in the dark, narrow."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from events.registry import Event, forget
from infra.database import consumers
from infra.database.engine import Database
from infra.subscriptions import Subscription
from tests.browser import Visit, colours_of, contrast, luminance, visit
from tests.gateway.conftest import TOKEN
from tests.web_server import WebServer

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'`"
SMS = Subscription("sms", ("user.registered",), print, description="Sends a message.")
#: CSS pixels; what WCAG 2.2 asks a page to fit (1.4.10, Reflow).
NARROW = {"width": 320, "height": 700}


@pytest.fixture
def declared(sqlite_database: Database) -> None:
    """A consumer, and one that means harm."""
    hostile = Subscription("hostile", ("user.registered", "evil.happened"), print, description=HOSTILE)
    with sqlite_database.transaction() as session:
        consumers.declare(session, [SMS, hostile])


@pytest.fixture
def hostile_type() -> Iterator[None]:
    """An event type that means harm."""

    class Evil(Event, type="evil.happened", version=1):
        text: str

    Evil.__doc__ = HOSTILE
    Evil.model_rebuild(force=True)
    yield
    forget("evil.happened")


@pytest.fixture
def url(hostile_type: None, declared: None, server: WebServer) -> str:
    return f"http://127.0.0.1:{server.port}"


@pytest.fixture
def catalogue(browser: Browser, url: str) -> Iterator[Visit]:
    """The catalogue, which in the end has asked nobody else for anything and has had no error."""
    seen = visit(browser, url, "/catalogue")
    yield seen
    assert ([], []) == (seen.elsewhere, seen.errors)
    seen.page.context.close()


def shown(page: Page) -> list[str | None]:
    """The types that are to be seen."""
    return [each.get_attribute("data-type") for each in page.locator("section.type").all() if each.is_visible()]


def opened(page: Page, event_type: str = "user.registered") -> Locator:
    """The form for a test event."""
    section = page.locator(f'section[data-type="{event_type}"]')
    section.get_by_text("Publish a test event").click()
    return section.locator("form")


def use_token(page: Page, token: str = TOKEN) -> None:
    page.get_by_label("Operator token").fill(token)
    page.get_by_role("button", name="Use").click()


def test_it_shows_each_type_with_who_announces_and_who_takes_it(catalogue: Visit) -> None:
    section = catalogue.page.locator('section[data-type="user.registered"]')
    expect(section.get_by_role("row", name="sms")).to_contain_text("tried again after 5 s, 30 s")
    expect(section).to_contain_text("program gateway")
    expect(section.get_by_role("row", name="email")).to_contain_text("At most 254 characters.")


def test_hostile_texts_are_shown_and_not_run(catalogue: Visit) -> None:
    section = catalogue.page.locator('section[data-type="evil.happened"]')
    expect(section).to_contain_text("<script>alert(1)</script>")
    assert 0 == catalogue.page.locator("main script, main img").count()


def test_the_search_leaves_what_has_every_word(catalogue: Visit) -> None:
    page = catalogue.page
    every = shown(page)
    page.get_by_label("Search").fill("SMS registered")
    assert ["user.registered"] == shown(page)
    expect(page.locator("#matches")).to_have_text(f"1 of {len(every)} event types")
    page.get_by_label("Search").fill("no such thing")
    expect(page.get_by_text("No event type, field or consumer matches.")).to_be_visible()
    page.get_by_label("Search").fill("")
    assert every == shown(page)


def test_live_figures_come_with_the_token_and_go_with_it(catalogue: Visit) -> None:
    page = catalogue.page
    state = page.locator('section[data-type="user.registered"] tr[data-consumer="sms"] .state')
    expect(state).to_be_hidden()
    use_token(page)
    expect(state).to_have_text("running")
    page.reload()
    expect(state).to_have_text("running")
    page.get_by_role("button", name="Forget").click()
    expect(state).to_be_hidden()
    assert TOKEN not in page.content()
    assert 0 == page.evaluate("sessionStorage.length + localStorage.length")


def test_what_there_is_of_a_type_is_told_to_operators(catalogue: Visit) -> None:
    page = catalogue.page
    details = page.locator('section[data-type="user.registered"] details.lately')
    details.locator("summary").click()
    expect(details).to_contain_text("For operators")
    use_token(page)
    expect(page.locator("#live")).to_contain_text("consumers as of")
    details.locator("summary").click()
    details.locator("summary").click()
    expect(details).to_contain_text("0 in the last hour")
    expect(details).to_contain_text("nobody lately")


def test_a_wrong_token_is_told_at_its_field(catalogue: Visit) -> None:
    use_token(catalogue.page, "wrong")
    field = catalogue.page.get_by_label("Operator token")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(catalogue.page.locator("#token-error")).to_have_text("The gateway does not take this token.")


def test_a_test_event_needs_the_token_and_somebody_who_is_sure(catalogue: Visit) -> None:
    form = opened(catalogue.page)
    form.get_by_role("button", name="Publish").click()
    expect(form.get_by_label("I want this event to be published")).to_be_focused()
    form.get_by_label("I want this event to be published").check()
    form.get_by_role("button", name="Publish").click()
    expect(catalogue.page.get_by_label("Operator token")).to_be_focused()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("{", "This is not JSON"),
        ("[]", "This must be a JSON object."),
        ('{"name": "Ada"}', "data.email: This is required."),
        ('{"name": 1, "name": 2}', "an object has the same key twice"),
    ],
)
def test_wrong_data_are_told_at_their_field(catalogue: Visit, data: str, told: str) -> None:
    use_token(catalogue.page)
    form = opened(catalogue.page)
    form.get_by_label("Data, as JSON").fill(data)
    form.get_by_label("I want this event to be published").check()
    form.get_by_role("button", name="Publish").click()
    expect(form).to_contain_text(told)


def test_a_test_event_is_published_by_keyboard_alone_and_watched(catalogue: Visit) -> None:
    page, keyboard = catalogue.page, catalogue.page.keyboard
    page.locator("body").press("Tab")
    expect(page.get_by_role("link", name="To the event types")).to_be_focused()
    page.get_by_label("Operator token").focus()
    keyboard.type(TOKEN)
    keyboard.press("Enter")
    expect(page.locator("#live")).to_contain_text("consumers as of")
    form = page.locator('section[data-type="user.registered"] form')
    page.locator('section[data-type="user.registered"] summary', has_text="test event").focus()
    keyboard.press("Enter")
    for _ in ("data", "why", "sure"):
        keyboard.press("Tab")
    keyboard.press("Space")
    keyboard.press("Tab")
    keyboard.press("Enter")
    expect(form.locator(".outcome")).to_contain_text("It is accepted.")
    expect(form.locator(".outcome li")).to_have_text(["hostile: pending", "sms: pending"])
    assert TOKEN not in page.url


def test_every_field_has_a_label_and_no_name_is_there_twice(catalogue: Visit) -> None:
    unnamed = catalogue.page.locator("input, textarea, button").evaluate_all(
        "all => all.filter(each => !(each.labels?.length || each.textContent.trim())).map(each => each.outerHTML)"
    )
    ids = catalogue.page.locator("[id]").evaluate_all("all => all.map(each => each.id)")
    named = catalogue.page.locator("[aria-labelledby], [aria-describedby]").evaluate_all(
        "all => all.flatMap(each => `${each.getAttribute('aria-labelledby') ?? ''} "
        "${each.getAttribute('aria-describedby') ?? ''}`.split(' ')).filter(Boolean)"
    )
    assert [] == unnamed
    assert len(ids) == len(set(ids))
    assert set(named) <= set(ids)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_by_day_and_by_night(browser: Browser, url: str, scheme: str) -> None:
    seen = visit(browser, url, "/catalogue", color_scheme=scheme)
    colours = {
        name: colours_of(seen.page, selector)
        for name, selector in {"text": "p", "quiet": ".quiet", "link": "nav a", "button": "#access button"}.items()
    }
    weak = {name: round(ratio, 1) for name, pair in colours.items() if (ratio := contrast(*pair)) < 4.5}
    assert {} == weak
    assert (scheme == "dark") == (luminance(colours["text"][0]) > luminance(colours["text"][1]))
    seen.page.context.close()


@pytest.mark.parametrize("path", ["/catalogue", "/docs"])
def test_a_narrow_screen_need_not_be_scrolled_sideways(browser: Browser, url: str, path: str) -> None:
    seen = visit(browser, url, path, viewport=NARROW)
    expect(seen.page.get_by_text("user.registered" if path == "/catalogue" else "Accepts facts").first).to_be_attached()
    assert NARROW["width"] == seen.page.evaluate("document.documentElement.scrollWidth")
    seen.page.context.close()


def test_the_http_api_is_shown_without_another_server(browser: Browser, url: str) -> None:
    seen = visit(browser, url, "/docs")
    seen.page.get_by_text("/users", exact=True).first.click()
    expect(seen.page.get_by_text("Try it out")).to_be_visible()
    assert ([], []) == (seen.elsewhere, seen.errors)
    seen.page.context.close()


def test_without_javascript_the_catalogue_is_read_all_the_same(browser: Browser, url: str) -> None:
    seen = visit(browser, url, "/catalogue", java_script_enabled=False)
    expect(seen.page.get_by_role("heading", name="user.registered")).to_be_visible()
    expect(seen.page.get_by_label("Operator token")).to_be_hidden()
    seen.page.context.close()
