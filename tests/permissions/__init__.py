"""Who may do what, and whose records a person sees."""
