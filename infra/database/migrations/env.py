"""What Alembic runs: the migrations, in the transaction of the connection that it was given."""

from alembic import context
from sqlmodel import SQLModel

import infra.database.erasure_tables
import infra.database.job_tables
import infra.database.recovery_tables
import infra.database.schedule_tables  # noqa: F401  # these fill the metadata, as `tables` does

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    compare_type=True,
    transactional_ddl=True,
)
context.run_migrations()
