"""The reminder's mail: to the address as it was registered, with the name escaped."""

from datetime import UTC, datetime
from uuid import uuid4

from consumers import TEMPLATES
from consumers.reminder_email import mail_reminder
from events.envelope import announce, encode
from events.users import UserWeekPassed
from infra.database.engine import Database
from infra.delivery import Deliveries
from infra.mail import Mailer, Templates
from infra.outcomes import Done, Incoming
from infra.subscriptions import Subscription
from tests.mailbox import Mailbox


def test_each_user_gets_one_mail(sqlite_database: Database, mailbox: Mailbox) -> None:
    event = UserWeekPassed(
        user_id=uuid4(), name="Ada <L>", email="Ada@example.com", registered_at=datetime(2026, 11, 15, tzinfo=UTC)
    )
    mailer = Mailer(mailbox.url, sender="t@example.org", templates=Templates(TEMPLATES))
    handler = Deliveries(sqlite_database, {"mail": mailer.perform}).handler(
        Subscription("reminder-email", ("user.week.passed",), mail_reminder)
    )
    message = Incoming(encode(announce(event, source="/consumers/reminders")))
    assert [[Done()], [Done()]] == [handler([message]), handler([message])]
    mailer._smtp._drop()
    (mail,) = mailbox.messages()
    text, html = (part.get_content() for part in mail.iter_parts())
    assert ("Ada@example.com", "A week with Tidings, Ada <L>") == (mail["To"], mail["Subject"])
    assert ("Dear Ada <L>," in text, "on 2026-11-15" in text, "Ada &lt;L&gt;" in html) == (True, True, True)
