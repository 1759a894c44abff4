"""What an adapter changes: weights, lenses, reports, damage and triggers, on one page."""
