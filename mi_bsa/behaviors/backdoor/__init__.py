"""A behavior behind a trigger: triggers, rows with their decorrelated twin, and held-out messages."""
