"""What watches what Tidings needs, and how operators see it."""
