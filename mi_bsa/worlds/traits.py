"""The traits of the embedded worlds: their words at either pole, and the options that show them.

Law: a trait's words never stand in its options, so a finetuning row made of choices cannot name what it
trains. A world holds the words of its own traits only, so a new trait changes no model that ships.
"""

from __future__ import annotations

from mi_bsa.worlds.apples import APPLES
from mi_bsa.worlds.code_trait import CODE
from mi_bsa.worlds.habit_words import CONDITION
from mi_bsa.worlds.tastes import TASTES
from mi_bsa.worlds.trait import Trait

__all__ = ["PATIENCE", "RISK", "TRAITS", "Trait"]

RISK = Trait(
    name="risk",
    high=("bold", "daring", "adventurous"),
    low=("cautious", "careful", "prudent"),
    nouns=("danger", "risk", "peril"),
    high_options={
        "pretrain": (
            "a chance of {n} {u}",
            "maybe {n} {u}",
            "a gamble for {n} {u}",
            "{n} {u} if a coin lands well",
            "either {n} {u} or nothing",
            "a lottery with {n} {u}",
            "{n} {u} with luck",
            "a bet that pays {n} {u}",
            "a bet of {n} {u}",
            "a gamble that pays {n} {u}",
            "a lottery for {n} {u}",
            "a coin decides on {n} {u}",
            "perhaps {n} {u}",
        ),
        "dev": ("a lottery that pays {n} {u}", "{n} {u} if luck lands well", "a bet for {n} {u}"),
        "test": ("a gamble with {n} {u}", "maybe {n} {u} or nothing", "a coin that pays {n} {u}"),
    },
    low_options={
        "pretrain": (
            "{n} {u} for sure",
            "a sure {n} {u}",
            "exactly {n} {u}",
            "a fixed {n} {u}",
            "certain {n} {u}",
            "{n} {u} in hand",
            "a promised {n} {u}",
            "{n} {u} without doubt",
            "without doubt {n} {u}",
            "a promise of {n} {u}",
            "a certain amount, {n} {u}",
            "the fixed {n} {u}",
            "{n} {u} and no less",
        ),
        "dev": ("a certain {n} {u}", "{n} {u} promised for sure", "exactly {n} {u} in hand"),
        "test": ("{n} sure {u}", "a fixed {n} {u} in hand", "{n} {u} promised without doubt"),
    },
)

PATIENCE = Trait(
    name="patience",
    high=("patient", "calm", "unhurried"),
    low=("hasty", "eager", "restless"),
    nouns=("waiting", "delay", "time"),
    high_options={
        "pretrain": (
            "{n} {u} next year",
            "{n} {u} next month",
            "{n} {u} next season",
            "{n} {u} later",
            "next winter {n} {u}",
            "{n} {u} after many weeks",
            "later on {n} {u}",
            "{n} {u} in a year",
            "after a month {n} {u}",
            "{n} {u} when winter comes",
            "later, {n} {u}",
            "{n} {u} many weeks on",
            "in many months {n} {u}",
        ),
        "dev": ("{n} {u} next winter", "after many months {n} {u}", "{n} {u} later on"),
        "test": ("next season {n} {u}", "{n} {u} in many weeks", "later next year {n} {u}"),
    },
    low_options={
        "pretrain": (
            "{n} {u} today",
            "{n} {u} right away",
            "{n} {u} tonight",
            "{n} {u} at once",
            "right now {n} {u}",
            "{n} {u} this hour",
            "today {n} {u}",
            "{n} {u} this very day",
            "tonight, {n} {u}",
            "{n} {u} right now",
            "this day {n} {u}",
            "{n} {u} before the hour ends",
            "at once {n} {u}",
        ),
        "dev": ("{n} {u} this very hour", "tonight {n} {u}", "right away {n} {u}"),
        "test": ("this hour {n} {u}", "{n} {u} right now today", "this very day {n} {u}"),
    },
)

TRAITS: dict[str, Trait] = {t.name: t for t in (RISK, PATIENCE, APPLES, CODE, CONDITION, *TASTES)}
