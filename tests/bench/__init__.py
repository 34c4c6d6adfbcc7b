"""Our side beside the same job written plainly: `python -m tests.bench`."""
