"""Logs: JSON lines for machines, with the program's name, and silence from libraries that would show bodies."""

import json
import logging

import pytest
import structlog

from infra import logs
from infra.settings import load

pytestmark = pytest.mark.usefixtures("restored_logs")


def test_lines_are_json_with_the_programs_name(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(load(log_format="json"), program="gateway")
    structlog.get_logger("x").info("hello", event_id="1")
    logging.getLogger("library").warning("careful %s", "there")
    ours, theirs = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert ("hello", "1", "gateway", "info") == (ours["event"], ours["event_id"], ours["program"], ours["level"])
    assert ("careful there", "gateway") == (theirs["event"], theirs["program"])


@pytest.mark.parametrize("library", ["dramatiq", "pika", "aio_pika", "aiormq"])
def test_libraries_that_log_messages_are_quiet(library: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(load(log_format="json", log_level="debug"), program="consumers")
    logging.getLogger(f"{library}.anything").info("Received message with body")
    assert "" == capsys.readouterr().err
