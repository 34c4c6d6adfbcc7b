"""How long a mail takes beside two jobs that keep two cores busy: `python -m tests.bench.latency --niceness 0`."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from infra import commands
from tests import latency
from tests.installation import Installation
from tests.mailbox import Mailbox

app = commands.make("Measure mails beside jobs.")


@app.command()
def run(
    rounds: Annotated[int, typer.Option(help="Turns without and with jobs.")] = 4,
    samples: Annotated[int, typer.Option(help="Mails in each.")] = 25,
    niceness: Annotated[int, typer.Option(help="Of the jobs.")] = 10,
) -> None:
    """In a whole Tidings that is started for it."""
    sink = Mailbox()
    sink.start()
    with tempfile.TemporaryDirectory(prefix="tidings-latency-") as folder:
        kinds = "tests.system.grinding"
        town = Installation(Path(folder), SMTP_URL=sink.url, CONSUMER_PACKAGES=kinds, JOB_NICENESS=str(niceness))
        try:
            town.up()
            found = latency.measure(town, sink, rounds=rounds, samples=samples)
        finally:
            town.down()
            sink.stop()
    typer.echo(f"niceness {niceness}: {found}")


if __name__ == "__main__":
    commands.run(app, "python -m tests.bench.latency")
