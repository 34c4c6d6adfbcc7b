"""Jobs beside the same task on Celery, and beside a thousand readers: `python -m tests.bench.jobs`."""
