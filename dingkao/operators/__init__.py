"""Operators of the platform: their accounts, sessions and acts. They are outside every province and have an
engine and database role of their own."""
