"""Pages of the staff's console."""
