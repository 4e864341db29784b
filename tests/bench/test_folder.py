"""The folder of a benchmark: what is kept in it, and which flows are found from it."""

import pytest

from flowbench import bench, flows
from flowbench.bench import settings, times
from flowbench.config import ConfigError, params, plugins
from tests.bench.own import STRAIGHT


def test_a_folder_of_somebody_else_is_left_alone(table):
    other = table.parent / "thesis"
    other.mkdir()
    (other / "chapter.tex").write_text("1", encoding="utf-8")
    with pytest.raises(ConfigError, match="thesis: holds something else; choose another with --folder"):
        bench.prepare(table, ["gaussian"], options={"as_they_are": ["d"]}, folder=other)
    assert [path.name for path in other.iterdir()] == ["chapter.tex"]


def test_what_was_changed_in_the_folder_is_kept(table, monkeypatch, quick):
    monkeypatch.setattr(bench, "probe", lambda *_: times.Probe(0.01, 0.0, 0.0))

    def again(**options):
        told = []
        made = bench.prepare(table, ["maf", "gaussian"], options={"as_they_are": ["d"]}, tell=told.append, **options)
        return params.load(made.folder / "params.yaml"), [line for line in told if "--fresh" in line]

    first, _ = again()
    text = (path := table.parent / "my-table-bench/params.yaml").read_text().replace("layers: 5", "layers: 3")
    path.write_text(text.replace("batch_size: 256", "batch_size: 64", 1), encoding="utf-8")
    for options in ({}, {"minutes": 20}):  # with the same steps, and with others
        kept, told = again(**options)
        assert told == ["my-table-bench/params.yaml: keeps what was changed of maf; --fresh forgets it"]
        assert kept.flows["maf"]["table"] == first.flows["maf"]["table"] | {"layers": 3}
        assert kept.budgets["maf"].train.batch_size == 64
    assert kept.budgets["maf"].train.steps > 1.5 * first.budgets["maf"].train.steps
    forgotten, told = again(fresh=True)
    assert (forgotten.flows, forgotten.budgets["maf"].train.batch_size, told) == (first.flows, 256, [])


def test_a_flow_without_defaults_is_told_what_to_do(table):
    bare = STRAIGHT.replace("Event)", "Event, *, layers: int, width: int)")
    (table.parent / "bare.py").write_text(bare, encoding="utf-8")
    told = r"^flow bare: build has no default for layers, width; give it one, or write flows\.bare\.table"
    with pytest.raises(ConfigError, match=told):
        bench.prepare(table, ["bare.py"], options={"as_they_are": ["d"]})


def test_a_flow_of_the_repository_is_found_from_anywhere(table, monkeypatch):
    """Also by its file, which is not taken for a second flow of its name."""
    root = table.parent / "clone"
    own = root / "plugins" / "flows" / "mynew.py"
    own.parent.mkdir(parents=True)
    own.write_text(STRAIGHT, encoding="utf-8")
    before = list(flows.__path__)
    monkeypatch.setattr(settings, "ROOT", root)
    for names in ({}, {"mynew": own}):
        with settings.found(names):
            assert "mynew" in flows.names()
            assert plugins.load("flowbench.flows", "mynew", flows.__path__).build
        assert flows.__path__ == before
