"""Simulated doctors of a demonstration province go through the whole cycle by HTTP, as phones and office
computers do."""
