"""An error where a crash would hurt: no program ends, and everything is done once."""

import json

import pytest

from tests.system.crash_points.crashes import await_dead_letters
from tests.system.crash_points.points import EVERYWHERE
from tests.system.crash_points.recovery import recover
from tests.system.crash_points.site import Site
from tests.waiting import until

pytestmark = pytest.mark.system
_FAULTS = sorted({point.fault for point in EVERYWHERE})
_PROGRAMS = ("gateway", "consumers", "scheduler")


def test_an_error_at_every_place_costs_no_program_and_no_event(site: Site) -> None:
    site.kill(*_PROGRAMS)
    for program in _PROGRAMS:  # the gateway first, so that it is its relay that publishes
        site.run(program, fault=",".join(f"{fault}:1:raise" for fault in _FAULTS))
    recovering = site.people("Recovering", 1)
    site.register(*site.people("Steady", 5), *site.people("Stumbling", 1), *site.people("Hopeless", 1), *recovering)
    await_dead_letters(site, recovering)
    site.replay(*recovering)
    until(lambda: set(_FAULTS) == met(site), seconds=30, what="an error at every place")
    assert [] == [program for program in _PROGRAMS if not site.is_running(program)]
    site.kill("scheduler")
    recover(site)


def met(site: Site) -> set[str]:
    """The faults that the programs tell of."""
    lines = [line for program in _PROGRAMS for line in site.said(program).splitlines() if "fault injected" in line]
    told = [json.loads(line) for line in lines if line.endswith("}")]
    return {fault for each in told for fault in (each["failpoint"], f"{each['failpoint']}@{each['where']}")} & {
        *_FAULTS
    }
