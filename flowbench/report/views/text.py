"""Sentences and pages, laid out by the templates in ``templates/``."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from flowbench.report.views import numbers

_MARKUP = {ord(character): f"&#{ord(character)};" for character in "\\`*[]|~"}


def say(sentence: str, **facts: Any) -> str:
    """A macro of ``sentences.jinja`` as plain text on one line, which a page has yet to escape."""
    return " ".join(str(getattr(_sentences("sentences.jinja"), sentence)(**facts)).split())


def meanings() -> dict[str, str]:
    """What the columns hold that are no metric of the catalogue, by their heads."""
    return dict(_sentences("meanings.jinja").columns)  # type: ignore[attr-defined]


def data_sets() -> dict[str, str]:
    """What each data set is, by its name."""
    return dict(_sentences("meanings.jinja").data_sets)  # type: ignore[attr-defined]


def render(template: str, facts: Mapping[str, Any]) -> str:
    """A page; every value is escaped, in Markdown too, where HTML's entities hold as well."""
    return _environment(autoescape=True).get_template(template).render(facts)


def listed(names: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    names = list(names)
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


@cache
def _sentences(template: str) -> jinja2.environment.TemplateModule:
    return _environment(autoescape=False).get_template(template).module


def _environment(*, autoescape: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "md": _markdown,
        "listed": listed,
        "thousands": lambda value: f"{value:,}",
        "significant": numbers.significant,
        "at_most": numbers.at_most,
        "power": numbers.power,
    }
    return environment


def _markdown(text: object) -> markupsafe.Markup:
    """Text on one line in which nothing is HTML or Markdown; underscores within words are neither."""
    return markupsafe.Markup(html.escape(" ".join(str(text).split())).translate(_MARKUP))
