"""Real models by name, and from GGUF files: fetched, converted, checked, kept in the user's cache."""
