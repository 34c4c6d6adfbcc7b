"""What the consumers program finds out, and says, before it starts its worker processes."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

import consumers
from infra.settings import load

NOBODY = {"event": "alerts and reports go to nobody: set TIDINGS_OPERATOR_EMAIL", "log_level": "warning"}


@pytest.mark.parametrize(("operator", "said"), [(None, [NOBODY]), ("ops@example.org", [])])
def test_that_nobody_is_told_of_anything_is_said_once(
    sqlite_url: str, tmp_path: Path, operator: str | None, said: list[dict[str, str]]
) -> None:
    urls = {"database_url": sqlite_url, "rabbitmq_url": "amqp://u:p@broker.test", "smtp_url": "smtp://mail.test"}
    with capture_logs() as logs:
        consumers.check(load(**urls, operator_email=operator, state_dir=tmp_path))
    assert said == logs
