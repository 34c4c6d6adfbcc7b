"""A minute of the drill: everything accepted is handled once, whatever fails meanwhile."""

import json
import subprocess
import sys
from typing import Any

import pytest

from infra.settings import environment_without_settings
from tests.installation import ROOT

pytestmark = pytest.mark.system
SECONDS = 60
#: Registrations per second: on a machine that does much else, all of a fault's are to be handled in its time, too.
RATE = 10
#: Database -> RabbitMQ.
LANES = {"sqlite": "3.10", "postgresql": "4.x"}
#: Those that are over soon; `./tidings drill --seconds 900` has them all.
FAULTS = {
    "sqlite": "consumers-kill,broker-wipe,confirms-dropped,duplicate-storm,database-lock",
    "postgresql": "gateway-kill,broker-kill,network-cut,database-kill,database-restart",
}


@pytest.mark.timeout(800)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_drill_of_a_minute_ends_as_promised(database: str) -> None:
    options = ["--seconds", str(SECONDS), "--seed", "1", "--database", database, "--rabbitmq", LANES[database]]
    options += ["--faults", FAULTS[database], "--rate", str(RATE), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.drill", *options],
        cwd=ROOT, env=environment_without_settings(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=780, check=False,
    )  # fmt: skip
    report: dict[str, Any] = json.loads(done.stdout or "{}")
    assert (0, []) == (done.returncode, [row for row in report.get("faults", []) if row["wrong"]]), done.stderr
    assert set(FAULTS[database].split(",")) < {row["fault"] for row in report["faults"]}
    assert 400 < sum(row["accepted"] for row in report["faults"])
