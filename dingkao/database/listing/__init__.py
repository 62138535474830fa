"""Lists that the console shows, exports and acts on, each declared once: its columns, filters and sortings
(`definitions`), what a person has chosen of them (`list_states`), its pages (`list_pages`), its counts
(`list_counts`) and all its rows (`selections`)."""
