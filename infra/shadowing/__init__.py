"""Shadow runs: what a handler of this tree would do with events of the past, while nothing of it happens."""
