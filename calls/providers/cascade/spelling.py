"""How written things are said, language by language: the tables of `spelling.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_TABLES: dict[str, Any] = tomllib.loads(
    Path(__file__).with_name("spelling.toml").read_text(encoding="utf-8")
)
LANGUAGES = tuple(_TABLES)

_UNIT_SIGNS = """
km/h m/s km² m² cm² m³ km cm mm m kg mg g ml l °C °F ° % kB KB MB GB TB kWh kW W V kHz MHz GHz Hz
ms min h s"""
UNIT_SIGNS = tuple(_UNIT_SIGNS.split())
_SIGNS = "& @ + = × ÷ − ≈ ≤ ≥ ≠ ± < > ~ § №"
SIGNS = tuple(_SIGNS.split())
CURRENCIES = ("€", "$", "£", "CHF")
CURRENCY_CODES = {"EUR": "€", "USD": "$", "GBP": "£"}


@dataclass(frozen=True, slots=True)
class Noun:
    one: str
    many: str

    def of(self, number: str) -> str:
        return self.one if number == "1" else self.many


@dataclass(frozen=True, slots=True)
class Money:
    """A currency, and its hundredth part."""

    whole: Noun
    part: Noun


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of one language.

    Attributes:
        signs, units, money: by what is written.
        abbreviations: said wherever they stand.
        before_name: said before a capital letter only.
        after_name: said after a word that begins with one only.
        before_number: said before a digit only.
        phrases: templates and single words, by the names of the tables.
        joins: words beside which a stroke is not said.
    """

    signs: Mapping[str, str]
    units: Mapping[str, Noun]
    money: Mapping[str, Money]
    abbreviations: Mapping[str, str]
    before_name: Mapping[str, str]
    after_name: Mapping[str, str]
    before_number: Mapping[str, str]
    months: tuple[str, ...]
    joins: frozenset[str]
    phrases: Mapping[str, str]


def base_language(language: str) -> str:
    """The language of a BCP 47 tag, without country or script."""
    return language.replace("_", "-").partition("-")[0].lower()


@cache
def wording(base: str) -> Wording | None:
    """The words of that language, `base_language`; None if nobody wrote them down."""
    if (table := _TABLES.get(base)) is None:
        return None
    return Wording(
        signs=dict(zip(SIGNS, _listed(table["signs"]), strict=True)),
        units={
            sign: _noun(forms)
            for sign, forms in zip(UNIT_SIGNS, _listed(table["units"]), strict=True)
        },
        money={
            sign: _money(forms)
            for sign, forms in zip(CURRENCIES, _listed(table["money"]), strict=True)
        },
        abbreviations=table["abbreviations"],
        before_name=table.get("before_name", {}),
        after_name=table.get("after_name", {}),
        before_number=table["before_number"],
        months=tuple(table["months"].split()),
        joins=frozenset(table["joins"].split()),
        phrases={name: value for name, value in table.items() if isinstance(value, str)},
    )


def _listed(text: str) -> list[str]:
    return [" ".join(entry.split()) for entry in text.split(",")]


def _noun(forms: str) -> Noun:
    one, _, many = forms.partition("|")
    return Noun(one, many or one)


def _money(forms: str) -> Money:
    whole, _, part = forms.partition("/")
    return Money(_noun(whole), _noun(part))
