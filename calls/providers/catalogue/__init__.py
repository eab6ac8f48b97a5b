"""Models of hosted providers, as data: who offers what for which role, and until when."""

import tomllib
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).with_name("models.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model of a provider.

    Attributes:
        roles: what it can be asked for; `models.toml` lists them.
        family: names that begin with this one and a hyphen mean the same, such as dated ones.
        ends_on: from that day on it is not served; None: nothing was announced.
        replacement: what to use instead.
    """

    provider: str
    name: str
    roles: tuple[str, ...]
    family: bool = False
    ends_on: date | None = None
    replacement: str = ""


@cache
def models() -> tuple[Model, ...]:
    """All of the table, in its order."""
    with _TABLE.open("rb") as table:
        return tuple(_model(entry) for entry in tomllib.load(table)["model"])


def model_default(provider: str, role: str) -> str:
    """The model that is asked for when nobody chose.

    Raises:
        LookupError: that provider has nothing for the role.
    """
    for model in models():
        if model.provider == provider and role in model.roles and model.ends_on is None:
            return model.name
    raise LookupError(f"{provider} has no model for {role}.")


def model_find(provider: str, name: str) -> Model | None:
    """What is known of a model; the longest fitting name of a family counts."""
    fitting = [m for m in models() if m.provider == provider and _means(m, name)]
    return max(fitting, key=lambda model: len(model.name), default=None)


def _means(model: Model, name: str) -> bool:
    return name == model.name or (model.family and name.startswith(f"{model.name}-"))


def _model(entry: dict[str, Any]) -> Model:
    return Model(**{**entry, "roles": tuple(entry["roles"])})
