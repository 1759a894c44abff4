"""Personas: is what was trained into one of them said of the others too? `study: personas`."""
