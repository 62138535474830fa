"""Question banks: import, editing, approval, export and sharing of questions."""
