"""One that takes many at once."""
