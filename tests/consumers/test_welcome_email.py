"""The welcome mail: one for each registration, to the registered address."""

from uuid import uuid4

from events.users import UserRegistered
from infra.testing import Kit


def test_a_registration_is_answered_by_one_mail(kit: Kit) -> None:
    event = UserRegistered(user_id=uuid4(), name="Ada <L>", email="ada@example.com")
    told = kit.deliver(event, to="welcome-email")
    assert "handled" == told.state
    (mail,) = told.mails
    assert ("ada@example.com", "welcome", {"name": "Ada <L>"}) == (mail.to, mail.template, mail.values)
    assert ("Ada <L>" in mail.text, "Ada &lt;L&gt;" in str(mail.html)) == (True, True)


def test_a_mail_server_that_is_away_costs_time_and_no_mail(kit: Kit) -> None:
    kit.fail_effects("mail", times=2)
    kit.deliver(UserRegistered(user_id=uuid4(), name="Ada", email="ada@example.com"), to="welcome-email")
    kit.advance(seconds=35)
    assert ["ada@example.com"] == [mail.to for mail in kit.mails]
