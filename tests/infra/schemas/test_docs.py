"""The examples of docs/events.md do what the page says."""

import re
from pathlib import Path

import pytest

from events import registry
from events.envelope import Event, check_upcasters
from infra.schemas import checking, freezing

PAGE = Path(__file__).resolve().parents[3] / "docs" / "events.md"


@pytest.mark.usefixtures("throwaway")
def test_the_page_s_first_version_is_read_through_its_upcaster(tmp_path: Path) -> None:
    first, second = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, type[Event]] = {"__name__": __name__}  # type: ignore[dict-item]
    exec(first, names)
    freezing.freeze(freezing.judge([names["OrderPaid"]], tmp_path), tmp_path)
    sample = tmp_path / "order.paid" / "1.samples.json"
    sample.write_text('[{"order": "7", "euros": "12.50"}]')
    exec(second, names)
    freezing.freeze(freezing.judge([names["OrderPaidInCents"]], tmp_path), tmp_path)
    assert [] == checking.problems([names["OrderPaid"], names["OrderPaidInCents"]], tmp_path)
    assert [] == check_upcasters()
    assert {"order": "7", "cents": 1250} == registry.upcast("order.paid", 1, {"order": "7", "euros": "12.50"})
