"""The welcome mail: one for each registration, to the registered address."""

from unittest.mock import Mock
from uuid import uuid4

from consumers.welcome_email import welcome
from events.users import UserRegistered


def test_a_registration_intends_one_mail() -> None:
    context = Mock()
    welcome(UserRegistered(user_id=uuid4(), name="Ada", email="ada@example.com"), context)
    context.mail.send.assert_called_once_with("welcome", to="ada@example.com", name="Ada")
