"""Lists of jobs: each filter that names something finds it by an index, however many other jobs there are."""

from typing import Any

import pytest

from infra.database import jobs
from infra.database.engine import Database
from infra.database.jobs import Filter
from tests.kinds import add, change
from tests.plans import plans


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({"kind": "rare"}, "job_kind"),
        ({"state": "retrying"}, "job_state"),
        ({"requested_by": "grace"}, "job_requester"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_few_jobs_are_found_among_many_by_an_index(database: Database, wanted: dict[str, Any], index: str) -> None:
    add(database, "common", 3_000)
    expected = add(database, "rare", 3, requested_by="grace")[::-1]
    for each in expected:
        change(database, each, state="retrying")
    with plans(database) as found, database.reading() as session:
        page = jobs.page(session, Filter(**wanted))
    assert expected == [each.job.id for each in page]
    assert any(index in plan for plan in found)


def test_a_page_of_many_is_read_in_the_order_of_the_index_and_nothing_is_sorted(database: Database) -> None:
    ids = add(database, "common", 3_000)
    with plans(database) as found, database.reading() as session:
        page = jobs.page(session, Filter(requested_by="ada"), before=ids[2_000], limit=5)
    assert ids[1_999:1_994:-1] == [each.job.id for each in page]
    (plan,) = {each for each in found if " job" in each and "job_file" not in each}
    assert "sort" not in plan.lower()
    assert "b-tree" not in plan.lower()
