"""The reminder's mail: to the address as it was registered, with the name escaped."""

from datetime import UTC, datetime
from uuid import uuid4

from events.users import UserWeekPassed
from infra.testing import Kit


def test_each_user_gets_one_mail(kit: Kit) -> None:
    event = UserWeekPassed(
        user_id=uuid4(), name="Ada <L>", email="Ada@example.com", registered_at=datetime(2026, 11, 15, tzinfo=UTC)
    )
    first = kit.deliver(event, to="reminder-email")
    assert first.envelope is not None
    assert "handled" == kit.deliver(first.envelope, to="reminder-email", redelivered=True).state
    (mail,) = kit.mails
    assert ("Ada@example.com", "A week with Tidings, Ada <L>") == (mail.to, mail.subject)
    assert "Dear Ada <L>," in mail.text
    assert "on 2026-11-15" in mail.text
    assert "Ada &lt;L&gt;" in str(mail.html)
