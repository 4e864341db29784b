"""What a report says of differences, of noise and of ranks."""

import re

import pytest

from tests.report.pages import CELLS, Page

MOONS = {f"moons-{flow}": ("moons", flow) for flow in ("nice", "realnvp", "maf", "gaussian")}
BOTH = MOONS | {f"digits-{flow}": ("digits", flow) for flow in ("nice", "realnvp", "maf", "gaussian")}


def captions(folder) -> list[str]:
    return re.findall(r"^\*\*(.+)\*\*$", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_differences_are_named_with_those_that_may_be_chance(report):
    folder = report(MOONS)
    (caption,) = [text for text in captions(folder) if text.startswith("Differences in bits per dim from ")]
    leader = re.match(
        r"Differences in bits per dim from (\w+), of these flows the one of the lowest mean, paired by", caption
    )[1]
    assert leader in {"nice", "realnvp", "maf"}
    html = Page((folder / "index.html").read_text(encoding="utf-8"))
    rows = {row[0]: row[1:] for row in html.rows if row[-1] in ("significant", "not significant")}
    assert {name.split()[0] for name in rows} == {"nice", "realnvp", "maf", "gaussian"} - {leader}
    for name, (difference, p, verdict) in rows.items():
        assert "±" in difference
        assert (verdict == "significant") == (p == "< 0.001" or float(p) < 0.05)
        named = caption.partition("Not significant at 5 %: ")[2]
        assert (name.split()[0] in named) == (verdict == "not significant")


def test_intervals_of_differences_say_what_they_leave_out(report):
    (caption,) = [text for text in captions(report(MOONS)) if text.startswith("Differences")]
    assert "the noise of the test split, one for all, is not in them" in caption


def test_differences_say_which_of_them_are_over_other_test_examples(report):
    def change(results):
        for key, examples in {
            "moons-nice": 100,
            "moons-realnvp": 5000,
            "moons-maf": 5000,
            "moons-gaussian": 5000,
        }.items():
            with (results / key / "seeds.csv").open("a", encoding="utf-8") as file:
                file.writelines(
                    f"{seed},{name},{value},\n"
                    for seed in range(3)
                    for name, value in (("true_bits_per_dim", 0.2), ("test_examples", examples))
                )

    (caption,) = [text for text in captions(report(MOONS, change=change)) if text.startswith("Differences")]
    leader = caption.removeprefix("Differences in bits per dim above the truth from ").partition(",")[0]
    others = "realnvp, maf, gaussian" if leader == "nice" else "nice"
    assert (
        f"one for all, is not in them, but for {others}, which were measured on other test examples than {leader}"
        in caption
    )
    assert "their intervals and p-values hold the noise of both" in caption


def test_a_difference_over_fewer_seeds_says_so(report):
    html = Page((report(MOONS, diverged={"moons-gaussian": [0]}) / "index.html").read_text(encoding="utf-8"))
    rows = {row[0].split()[0]: row[1] for row in html.rows if row[-1] in ("significant", "not significant")}
    assert [name for name, difference in rows.items() if "(n = 2)" in difference] == ["gaussian"]


def test_one_seed_has_differences_and_no_verdict(report):
    folder = report(MOONS, seeds=1)
    (caption,) = [text for text in captions(folder) if text.startswith("Differences")]
    assert caption.endswith("One seed cannot say which of them are chance.")
    html = Page((folder / "index.html").read_text(encoding="utf-8"))
    assert not any("significant" in cell for row in html.rows for cell in row)


def test_a_flow_alone_has_nothing_to_differ_from(report):
    assert not [text for text in captions(report({"moons-nice": MOONS["moons-nice"]})) if "Differences" in text]


def test_ranks_over_data_sets_say_when_they_are_too_few(report):
    folder = report(BOTH)
    (caption,) = [text for text in captions(folder) if text.startswith("Ranks by")]
    assert "2 data sets are too few to tell any apart" in caption
    assert not (folder / "figures" / "ranks.png").exists()
    html = Page((folder / "index.html").read_text(encoding="utf-8"))
    rows = [row for row in html.rows if len(row) == 4 and re.fullmatch(r"\d\.\d\d", row[3] or "")]
    assert sorted(row[0] for row in rows) == ["maf", "nice", "realnvp"], "the flows, without the baseline"
    for _, first, second, mean in rows:
        assert float(mean) == pytest.approx((float(first) + float(second)) / 2, abs=0.006)
    assert "Over all data sets" not in (report(MOONS) / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("order", ["the same", "in turns"])
def test_ranks_over_enough_data_sets_are_drawn_where_they_tell_flows_apart(report, order):
    datasets = ("moons", "digits", "gaussian", "checkerboard")
    flows = [flow for _, flow in MOONS.values()]

    def change(results):
        for i, data in enumerate(datasets):
            for j, flow in enumerate(flows):
                place = j if order == "the same" else (i + j) % len(flows)
                path = results / f"{data}-{flow}" / "seeds.csv"
                path.write_text(
                    re.sub(r"(?m)^(\d+,bits_per_dim),[^,]+", rf"\1,{2 + place}", path.read_text(encoding="utf-8")),
                    encoding="utf-8",
                )

    folder = report({f"{data}-{flow}": (data, flow) for data in datasets for flow in flows}, change=change)
    (caption,) = [text for text in captions(folder) if text.startswith("Ranks by")]
    assert ("none are further" in caption) == (order == "in turns")
    assert (folder / "figures" / "ranks.png").exists() == (order == "the same")
    apart = float(re.search(r"less than (\d\.\d\d) apart", caption)[1])
    rows = [
        row for row in Page((folder / "index.html").read_text(encoding="utf-8")).rows if len(row) == len(datasets) + 2
    ]
    means = [float(row[-1]) for row in rows if re.fullmatch(r"\d\.\d\d", row[-1])]
    assert len(means) == len(MOONS) - 1
    assert ("none are further" in caption) == (max(means) - min(means) < apart)


def test_the_page_of_made_up_cells_has_no_ranks(report):
    assert not [text for text in captions(report(CELLS)) if text.startswith("Ranks")]
