"""Pages of doctors."""
