"""`python -m infra.migrate`: brings the database up to date; alone, as no other command should wait for SQLAlchemy."""

import typer

from infra import commands
from infra.database import migrations
from infra.settings import load

app = commands.make("Bring the database up to date.")


@app.command()
def migrate() -> None:
    """Bring the database up to date; a second time changes nothing."""
    migrations.migrate(load().database)
    typer.echo("The database is up to date.")


if __name__ == "__main__":
    commands.run(app, "./tidings migrate")
