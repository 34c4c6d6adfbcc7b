"""The same job as a good developer would write it from the documentation: FastAPI, SQLModel, stock Dramatiq."""
