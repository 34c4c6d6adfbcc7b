"""For those who write consumers: run events through the real delivery code, and see what came of it.

`pytest_plugins = ["infra.testing.plugin"]` in a `conftest.py` gives each test the fixture `kit`.
"""

from infra.testing.clock import Clock
from infra.testing.kit import Kit
from infra.testing.told import KitError, Mail, Settled, State, Told
from infra.testing.told_of_jobs import JobTold

__all__ = ["Clock", "JobTold", "Kit", "KitError", "Mail", "Settled", "State", "Told"]
