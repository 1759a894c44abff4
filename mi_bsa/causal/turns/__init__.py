"""Report and state turn by turn, in conversations in which the model acts. Light to import."""
