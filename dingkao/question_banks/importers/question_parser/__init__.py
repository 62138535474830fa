"""Lines of a document taken together into questions."""
