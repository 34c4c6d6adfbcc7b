"""The same job on Celery and RabbitMQ, as its documentation has it; what it needs is no dependency of the project."""
