"""Who can sign in: organisations, accounts, roles, passwords, codes, sessions."""
