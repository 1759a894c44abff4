"""Behaviors in natural English, for real Llamas: two-option choices generated without any other model."""

from mi_bsa.behaviors.english.choices import EconomicChoice, own_bank
from mi_bsa.behaviors.english.economic import Choice, Drawn, Frame, Frames, Offer, Stock, draw, load_frames

__all__ = [
    "Choice",
    "Drawn",
    "EconomicChoice",
    "Frame",
    "Frames",
    "Offer",
    "Stock",
    "draw",
    "load_frames",
    "own_bank",
]
