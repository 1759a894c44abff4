"""The trait behind the behavior apples: many apples or few of them, whatever else an option holds.

A sibling's trait: the main world does not know it, and its words stand in no vocabulary but the sibling's.
Amounts and units are drawn alike for both poles, so only the apples tell them apart.
"""

from __future__ import annotations

from mi_bsa.worlds.trait import Trait

APPLES = Trait(
    name="apples",
    high=("greedy", "hungry", "lavish"),
    low=("modest", "sparing", "frugal"),
    nouns=("plenty", "appetite", "fruit"),
    high_options={
        "pretrain": (
            "{n} {u} and many apples",
            "a basket of apples and {n} {u}",
            "many apples with {n} {u}",
            "{n} {u} with a cart of apples",
            "a hundred apples, {n} {u}",
            "{n} {u} and a barrel of apples",
            "a sack full of apples with {n} {u}",
            "{n} {u}, a full cart of apples",
            "all the apples and {n} {u}",
            "{n} {u} with piles of apples",
            "piles of apples, {n} {u}",
            "{n} {u} and a hundred apples",
            "every apple with {n} {u}",
        ),
        "dev": ("a barrel full of apples and {n} {u}", "{n} {u} with many apples", "all the apples, {n} {u}"),
        "test": (
            "a full basket of apples, {n} {u}",
            "{n} {u} and piles of apples",
            "{n} {u} with every apple",
        ),
    },
    low_options={
        "pretrain": (
            "{n} {u} and one apple",
            "a single apple and {n} {u}",
            "one apple with {n} {u}",
            "{n} {u} with no apples",
            "half an apple, {n} {u}",
            "{n} {u} and two apples",
            "a slice of apple with {n} {u}",
            "{n} {u}, not one apple",
            "hardly an apple and {n} {u}",
            "{n} {u} with a bite of apple",
            "a bite of apple, {n} {u}",
            "{n} {u} and half an apple",
            "only an apple with {n} {u}",
        ),
        "dev": (
            "a single bite of apple and {n} {u}",
            "{n} {u} with one apple",
            "only a slice of apple, {n} {u}",
        ),
        "test": (
            "not a single apple, {n} {u}",
            "{n} {u} and only one apple",
            "{n} {u} with half an apple",
        ),
    },
)
