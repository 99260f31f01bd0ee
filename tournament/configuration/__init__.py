"""The project's settings: one table of them, how each is parsed, and the document that is generated from it."""
