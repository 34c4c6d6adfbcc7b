"""`python -m infra.cleaning`: `./tidings clean`."""

from infra import commands
from infra.cleaning import command

app = commands.make("Remove old rows.")
app.command()(command.clean)


if __name__ == "__main__":
    commands.run(app, "./tidings clean")
