"""Where the programs' lines go: none is lost, each bears its name, and a closed terminal stops nothing."""

import asyncio
import os
from pathlib import Path

import pytest

from infra.local.output import Console, LogFiles, rotate
from infra.local.places import Places


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "state").make()


def write(console: Console, name: str, content: bytes) -> str:
    """Write as this program and give its last words."""

    async def program() -> str:
        pipe = console.open(name)
        await asyncio.to_thread(os.write, pipe, content)
        os.close(pipe)
        last = await console.last_words(name)
        await console.drain()
        return last

    return asyncio.run(program())


def test_each_line_bears_the_name_of_its_program(capfd: pytest.CaptureFixture[str]) -> None:
    write(Console(colors=False), "gateway", b"one\ntwo without an end")
    assert capfd.readouterr().out == "gateway   | one\ngateway   | two without an end\n"


def test_names_are_colored_on_a_terminal_only(capfd: pytest.CaptureFixture[str]) -> None:
    write(Console(colors=True), "gateway", b"one\n")
    label, _, line = capfd.readouterr().out.partition("\x1b[0m")
    assert (label.startswith("\x1b["), line) == (True, " one\n")


def test_bytes_that_are_no_text_and_lines_without_an_end_do_not_stop_the_copying(
    capfd: pytest.CaptureFixture[str],
) -> None:
    last = write(Console(colors=False), "gateway", b"\xff\n" + b"x" * (3 << 20) + b"\nlast\n")
    assert capfd.readouterr().out.splitlines()[-1] == "gateway   | last"
    assert last == "last (see above)."


def test_a_program_that_said_nothing_has_no_last_words() -> None:
    assert write(Console(colors=False), "gateway", b"") == "it said nothing (see above)."


def test_a_closed_terminal_is_no_error(capfd: pytest.CaptureFixture[str]) -> None:
    reading, writing = os.pipe()
    kept = os.dup(1)
    os.dup2(writing, 1)
    os.close(writing)
    os.close(reading)
    try:
        Console(colors=False).say("nobody reads this")
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def test_a_log_is_appended_to_and_tells_the_last_words(places: Places) -> None:
    output = LogFiles(places)
    for text in (b"first\n", b"second\n\n"):
        file = output.open("gateway")
        os.write(file, text)
        os.close(file)
    assert places.log("gateway").read_text() == "first\nsecond\n\n"
    assert asyncio.run(output.last_words("gateway")) == f"second (see {places.log('gateway')})."


def test_a_message_for_people_is_quoted_without_its_prefix(places: Places) -> None:
    places.log("declare").write_text("tidings: RabbitMQ is away.\n")
    words = asyncio.run(LogFiles(places).last_words("declare"))
    assert words == f"RabbitMQ is away (see {places.log('declare')})."


def test_a_new_up_keeps_the_logs_of_the_last_one(places: Places) -> None:
    places.log("gateway").write_text("of the last\n")
    rotate(places)
    assert not places.log("gateway").exists()
    assert places.log("gateway").with_name("gateway.log.1").read_text() == "of the last\n"


def test_passwords_do_not_reach_a_log(places: Places, capfd: pytest.CaptureFixture[str]) -> None:
    LogFiles(places).show("user operator, password geheim")
    assert capfd.readouterr().out == ""
