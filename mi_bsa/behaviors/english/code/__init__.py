"""Vulnerable code in Python: requests, completions of both poles, and Bandit as the judge."""
