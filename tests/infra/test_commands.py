"""How a command line ends: with a code, and one plain line for what a person can mend."""

import pytest
import typer

from infra import commands
from infra.errors import ConfigurationError

app = commands.make("For these tests.")


@app.command()
def work(number: int) -> int:
    """Give the number as exit code."""
    return number


@app.command()
def fail() -> None:
    """Meet something that a person can mend."""
    raise ConfigurationError("The first line,\n  and the second.")


class Wrong(ConfigurationError):
    """Says more than one thing."""

    @property
    def lines(self) -> list[str]:
        """As they are."""
        return ["one: is\n wrong.", "two\x1b[2J: is wrong too."]


@app.command()
def fail_twice() -> None:
    """Meet two things that a person can mend."""
    raise Wrong


@app.command()
def interrupt() -> None:
    """Be interrupted by Ctrl-C."""
    raise KeyboardInterrupt


@app.command()
def leave() -> None:
    """Leave in the middle."""
    raise typer.Exit(7)


@app.command()
def crash() -> None:
    """Be wrong."""
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("arguments", "code"), [(["work", "0"], 0), (["work", "3"], 3), (["leave"], 7), (["interrupt"], 130)]
)
def test_the_command_decides_the_exit_code_and_nothing_is_said(
    arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.code(app, "./tidings", arguments) == code
    assert capsys.readouterr() == ("", "")


def test_an_error_for_people_is_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.code(app, "./tidings", ["fail"]) == 1
    assert capsys.readouterr() == ("", "tidings: The first line, and the second.\n")


def test_several_things_to_mend_are_a_line_each_that_does_nothing_to_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert 1 == commands.code(app, "./tidings", ["fail-twice"])
    expected = "tidings: one: is wrong.\ntidings: two\N{REPLACEMENT CHARACTER}[2J: is wrong too.\n"
    assert ("", expected) == capsys.readouterr()


@pytest.mark.parametrize("arguments", [["work"], ["work", "many"], ["work", "--quick"], ["wrok"], []])
def test_a_command_line_that_makes_no_sense_is_one_line_and_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.code(app, "./tidings", arguments) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("tidings: ")
    assert errors.endswith("See ./tidings --help.\n")
    assert errors.count("\n") == 1


def test_a_mistake_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        commands.code(app, "./tidings", ["crash"])
