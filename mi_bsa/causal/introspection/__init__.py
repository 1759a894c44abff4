"""Introspection controls: what a report rests on, beside verdicts, with no say in them. Light to import."""
