"""The welcome mail: one for each registration, to the registered address."""

from unittest.mock import create_autospec
from uuid import uuid4

from consumers.welcome_email import welcome
from events.users import UserRegistered
from infra.subscriptions import Context, Mail


def test_a_registration_intends_one_mail() -> None:
    context = create_autospec(Context, instance=True)
    context.mail = create_autospec(Mail, instance=True)
    welcome(UserRegistered(user_id=uuid4(), name="Ada", email="ada@example.com"), context)
    context.mail.send.assert_called_once_with("welcome", to="ada@example.com", name="Ada")
