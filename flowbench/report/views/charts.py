"""The charts of one data set, each drawn twice from the same numbers: by Vega-Lite on the page, and as a PNG."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import markupsafe
import pandas as pd

from flowbench.report.views import figures, series
from flowbench.report.views.pictures import Picture
from flowbench.report.views.scope import Scope
from flowbench.report.views.text import say


def charts(scope: Scope, folder: Path) -> list[dict[str, Any]]:
    """How the cells on one data set learnt, and what their quality costs: each as a specification and as a PNG."""
    data = scope.cells[0].data
    styles = series.looks(cell.label for cell in scope.cells)
    found = []

    def chart(kind: str, name: str, table: pd.DataFrame, caption: str, **facts: Any) -> None:
        path = folder / f"{name}.png"
        getattr(figures, kind)(path, table, styles, **facts)
        colours = {flow: styles[flow][0] for flow in dict.fromkeys(table["flow"])}
        found.append(
            {
                "kind": kind,
                "picture": Picture(path, f"{data}: {caption}", caption),
                "spec": _inert({"kind": kind, "rows": table.to_dict("records"), "colours": colours} | facts),
            }
        )

    speed = series.tradeoff(scope)
    if len(speed) > 1:
        caption = say("tradeoff")
        log = series.logarithmic(speed["y"])
        across, up = series.domains(speed)
        chart("tradeoff", f"cost-{data}", speed, caption, log=log, title=speed["of"].iloc[0], across=across, domain=up)
    for name, of_unit in _by_objective(series.curves(scope)).items():
        caption = say(
            "training", flows=list(of_unit["flow"].unique()), lost=bool(of_unit["lost"].any()), single=scope.single
        )
        title = f"validation loss ({of_unit['unit'].iloc[0]})"
        chart("training", f"training-{data}{name}", of_unit, caption, title=title, domain=series.limits(of_unit))
    few = series.evaluations(scope)
    if len(few):
        others = scope.first("energy_distance_data")
        title = "energy distance to test data"
        chart("evaluations", f"evaluations-{data}", few, say("evaluations"), others=others, title=title)
    return found


def _by_objective(curves: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Losses that share an axis, by the end of the figure's name: likelihoods do, and others stand alone."""
    likelihoods = curves["unit"].isin(series.LIKELIHOODS)
    found = {"": curves[likelihoods]} if likelihoods.any() else {}
    return found | {f"-{flow}": rows for flow, rows in curves[~likelihoods].groupby("flow", sort=False)}


def _inert(facts: dict[str, Any]) -> markupsafe.Markup:
    """Facts as JSON that ends no element of HTML."""
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    return markupsafe.Markup(text.replace("<", "\\u003c"))
