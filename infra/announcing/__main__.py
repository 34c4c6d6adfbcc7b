"""`python -m infra.announcing`: the part of `./tidings` that is about single events."""

from infra import commands
from infra.announcing.commands import app

if __name__ == "__main__":
    commands.run(app, "./tidings events")
