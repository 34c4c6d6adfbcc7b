"""`python -m infra.jobs`: what people type as ./tidings jobs."""

from infra import commands
from infra.jobs.commands import app

if __name__ == "__main__":
    commands.run(app, "./tidings jobs")
