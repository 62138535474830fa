"""Question banks from files: spreadsheets, Word documents and GIFT files become questions of a bank."""
