"""A profile in the terminal, as a page and as Markdown."""
