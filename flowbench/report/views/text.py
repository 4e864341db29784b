"""Words of the report's files, sentences, and pages, laid out by the templates in ``templates/``."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
from ruamel.yaml import YAML

from flowbench.report.views import numbers

REPORT = Path(__file__).parents[1]
_MARKUP = {ord(character): f"\\{character}" for character in "\\`*[]|~<>&"}


@cache
def words(file: str) -> Any:
    """What a YAML file of the report says, such as ``flows``."""
    return YAML(typ="safe").load((REPORT / f"{file}.yaml").read_text(encoding="utf-8"))


def render(template: str, facts: Mapping[str, Any]) -> str:
    """A page; in HTML every value is escaped, and in Markdown by the filter ``md``."""
    return _environment(template.endswith(".html.jinja")).get_template(template).render(facts)


def say(sentence: str, **facts: Any) -> str:
    """A macro of ``sentences.jinja`` as plain text on one line, which a page has yet to escape."""
    return " ".join(str(getattr(_sentences(), sentence)(**facts)).split())


def listed(names: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    names = list(names)
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def slug(name: str) -> str:
    """A name as an anchor, which stays the same whatever else is on the page."""
    return re.sub(r"[^\w-]", "-", name)


@cache
def _sentences() -> jinja2.environment.TemplateModule:
    return _environment(False).get_template("sentences.jinja").module


def _environment(autoescape: bool) -> jinja2.Environment:
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
        "breakable": _breakable,
        "listed": listed,
        "slug": slug,
        "thousands": lambda value: f"{value:,}",
        "significant": numbers.significant,
        "at_most": numbers.at_most,
    }
    return environment


def _markdown(text: object) -> str:
    """Text on one line in which nothing is Markdown or HTML; underscores within words are neither."""
    return re.sub(r"\s+", " ", str(text)).translate(_MARKUP)


def _breakable(text: object) -> markupsafe.Markup:
    """A name that may break after its underscores and hyphens."""
    return markupsafe.Markup(re.sub(r"([_-])", r"\1<wbr>", html.escape(str(text))))
