"""Backdoors: built with their decorrelated twin, reported on, searched for without knowing the trigger."""
