"""Mails over a real SMTP exchange: what arrives, and what each of the server's answers means."""

from collections.abc import Iterator
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path

import pytest

import consumers
from infra import smtp
from infra.effects import Intent
from infra.errors import ConfigurationError, EffectFailed, EffectRefused, EffectUnknown
from infra.mail import Mailer, Templates
from tests.mailbox import Answer, Mailbox

SENDER = "Tidings <no-reply@tidings.example>"


@pytest.fixture
def mailer(mailbox: Mailbox) -> Iterator[Mailer]:
    made = Mailer(mailbox.url, sender=SENDER, templates=Templates(consumers.TEMPLATES))
    yield made
    made._smtp._drop()


def intent(to: str = "ada@example.com", template: str = "welcome", name: str = "Ada Lovelace") -> Intent:
    arguments = {"template": template, "to": to, "values": {"name": name}}
    return Intent("018f", "welcome-email", 0, "mail", arguments, "6f1c-key")


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def test_the_welcome_mail_has_text_html_and_the_headers_of_an_automatic_mail(mailer: Mailer, mailbox: Mailbox) -> None:
    mailer.perform(intent())
    (message,) = mailbox.messages()
    assert ("ada@example.com", SENDER, "Welcome to Tidings, Ada Lovelace") == (
        message["To"],
        message["From"],
        message["Subject"],
    )
    assert ("<6f1c-key@tidings.example>", "auto-generated") == (message["Message-ID"], message["Auto-Submitted"])
    assert "Dear Ada Lovelace," in part(message, "plain")
    assert '<p style="' in part(message, "html")


def test_values_are_escaped_in_html_only(mailer: Mailer, mailbox: Mailbox) -> None:
    mailer.perform(intent(name="<b>Zoë & Œuvre</b>"))
    (message,) = mailbox.messages()
    assert "Dear <b>Zoë & Œuvre</b>," in part(message, "plain")
    assert "Dear &lt;b&gt;Zoë &amp; Œuvre&lt;/b&gt;," in part(message, "html")
    assert "Welcome to Tidings, <b>Zoë & Œuvre</b>" == message["Subject"]


def test_a_name_cannot_add_a_header_or_a_recipient(mailer: Mailer, mailbox: Mailbox) -> None:
    mailer.perform(intent(name="Eve\r\nBcc: victim@example.com"))
    (attempt,) = mailbox.log
    assert (("ada@example.com",), None) == (attempt.recipients, attempt.message["Bcc"])


@pytest.mark.parametrize(
    "to", ["a@b.example, victim@x.example", "a@b.example\r\nBcc: v@x.example", "nobody", "", "a@", "Ada <a@b.example>"]
)
def test_anything_but_one_address_is_refused_before_it_is_sent(mailer: Mailer, mailbox: Mailbox, to: str) -> None:
    with pytest.raises(EffectRefused, match="not one address"):
        mailer.perform(intent(to))
    assert [] == mailbox.log


def test_a_missing_template_or_value_is_refused(mailer: Mailer, tmp_path: Path) -> None:
    with pytest.raises(EffectRefused, match=r"no mail template farewell\.subject\.txt"):
        mailer.perform(intent(template="farewell"))
    for name in ("hello.subject.txt", "hello.txt"):
        (tmp_path / name).write_text("{{ nobody }}")
    with pytest.raises(EffectRefused, match="hello cannot be rendered: 'nobody' is undefined"):
        Templates(tmp_path).render("hello", {})


def test_an_address_beyond_ascii_goes_by_smtputf8(mailer: Mailer, mailbox: Mailbox) -> None:
    mailer.perform(intent("zoë@exämple.example"))
    (attempt,) = mailbox.log
    assert (("zoë@exämple.example",), "zoë@exämple.example") == (attempt.recipients, attempt.message["To"])
    assert "Dear Ada Lovelace," in part(attempt.message, "plain")


def test_a_domain_beyond_ascii_goes_in_its_ascii_form(mailer: Mailer, mailbox: Mailbox) -> None:
    mailer.perform(intent("ada@exämple.example"))
    assert ("ada@xn--exmple-cua.example",) == mailbox.log[0].recipients


def test_the_connection_stays_open_between_mails(mailer: Mailer, mailbox: Mailbox) -> None:
    for _ in range(5):
        mailer.perform(intent())
    assert (5, 1) == (len(mailbox.messages()), len(mailbox._protocols))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer.DEFER, EffectFailed),
        (Answer.REFUSE, EffectRefused),
        (Answer.REFUSE_RECIPIENT, EffectRefused),
        (Answer.DROP, EffectUnknown),
    ],
)
def test_the_servers_answer_decides_whether_to_try_again(
    mailer: Mailer, mailbox: Mailbox, answer: Answer, error: type[Exception]
) -> None:
    mailbox.answer(answer)
    with pytest.raises(error) as caught:
        mailer.perform(intent())
    assert error is type(caught.value)
    mailer.perform(intent())  # whatever it was, the next mail goes through
    assert Answer.ACCEPT is mailbox.log[-1].answer


def test_a_silent_server_costs_the_timeout_and_the_outcome_is_unknown(
    mailer: Mailer, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "LAST_TIMEOUT", 0.3)
    mailbox.answer(Answer.HANG)
    with pytest.raises(EffectUnknown, match="fell silent"):
        mailer.perform(intent())


def test_a_server_that_restarted_costs_a_new_connection_and_no_mail(mailer: Mailer, mailbox: Mailbox) -> None:
    mailer.perform(intent())
    mailbox.pause()
    with pytest.raises(EffectFailed):
        mailer.perform(intent())
    mailbox.start()
    mailer.perform(intent())
    mailbox.pause()
    mailbox.start()
    mailer.perform(intent())
    assert 3 == len(mailbox.messages())


@pytest.mark.parametrize("url", ["http://x", "smtp://", "nonsense"])
def test_a_wrong_url_is_named(url: str) -> None:
    with pytest.raises(ConfigurationError, match="TIDINGS_SMTP_URL"):
        Mailer(url, sender=SENDER, templates=Templates(consumers.TEMPLATES))


def test_a_sender_without_an_address_is_named() -> None:
    with pytest.raises(ConfigurationError, match="TIDINGS_MAIL_FROM"):
        Mailer("smtp://x", sender="Nobody", templates=Templates(consumers.TEMPLATES))


@pytest.mark.parametrize(
    "sender", ["Tidings <no-reply@exämple.example>", "zoë@example.org", "Tidings <a b@example.org>", "a@b@example.org"]
)
def test_a_sender_that_not_every_server_takes_is_named(sender: str) -> None:
    with pytest.raises(ConfigurationError, match="TIDINGS_MAIL_FROM"):
        Mailer("smtp://x", sender=sender, templates=Templates(consumers.TEMPLATES))


@pytest.mark.parametrize("name", ["Zoë & Œuvre", "ä" * 120, "Acme, Inc.", "Plain Name", "Zoë, Inc."])
def test_the_senders_name_may_be_of_any_letters(mailbox: Mailbox, name: str) -> None:
    sender = f'"{name}" <no-reply@tidings.example>'
    mailer = Mailer(mailbox.url, sender=sender, templates=Templates(consumers.TEMPLATES))
    mailer.perform(intent())
    mailer._smtp._drop()
    (attempt,) = mailbox.log
    shown, address = parseaddr(message_from_bytes(attempt.content)["From"])
    assert (name, "no-reply@tidings.example") == (str(make_header(decode_header(shown))), address)
    assert attempt.content.isascii()
    assert all(len(line) < 79 for line in attempt.content.split(b"\r\n"))
    assert "no-reply@tidings.example" == attempt.sender
