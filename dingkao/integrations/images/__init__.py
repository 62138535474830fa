"""Reading and comparing images."""
