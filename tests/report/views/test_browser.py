"""The pages in a browser: they sort, filter, switch and link, reach for no network, and everybody can use them."""

import shutil
from itertools import product
from pathlib import Path
from urllib.parse import unquote

import pytest

from flowbench.report.views import page as report
from tests import fake_results
from tests.report.made_up import Page

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium to open the pages in")
AXE = Path(__file__).parents[2] / "assets" / "axe.min.js"
ASSETS = Path(__file__).parents[3] / "reports" / "assets"

PLANE = ("nice", "realnvp", "glow", "maf", "iaf", "planar", "cnf", "flow_matching", "gaussian", "gaussian_mixture")
LAPTOP = {f"moons-{flow}": ("moons", flow) for flow in PLANE}
LAPTOP |= {f"digits-{flow}": ("digits", flow) for flow in ("nice", "maf", "cnf", "iaf_distilled", "flow_autoencoder")}
LAPTOP |= {f"two_modes-{flow}": ("two_modes", flow) for flow in ("planar", "iaf")}
LONG = "a_name_of_sixty_letters_as_somebody_may_well_give_to_one_flow"
AWKWARD = {f"moons-{LONG}": ("moons", "nice"), "gaussian-affine": ("gaussian", "affine")}
AWKWARD |= {f"moons-flow{i}": ("moons", ("nice", "maf", "cnf")[i % 3]) for i in range(40)}
OWN = "published/tiny.html"


def written(folder, cells, **options):
    """The folder of a report; the scripts and the page of the own machine are where they are in a repository."""
    suite = fake_results.suite(cells)
    results, target = folder / "results", folder / "reports" / "tiny"
    fake_results.write(results, suite, **options)
    shutil.rmtree(results / "moons-flow39", ignore_errors=True)
    runs = {key: f"http://127.0.0.1:5000/#/experiments/1/runs/{key}" for key in cells}
    (folder / "published").mkdir()
    report.write(results, suite, target, digests={}, lock="", survived={}, runs=runs, own=folder / OWN)
    shutil.copytree(ASSETS, folder / "reports" / "assets")
    report.write_index(folder / "reports", {"tiny": "a made-up suite"})
    return target


@pytest.fixture(scope="module")
def laptop(tmp_path_factory):
    return written(tmp_path_factory.mktemp("laptop"), LAPTOP)


@pytest.fixture(scope="module")
def awkward(tmp_path_factory):
    """Seeds that are lost, all or some; one seed; a cell that was not run; forty flows; a name of sixty letters."""
    return written(
        tmp_path_factory.mktemp("awkward"),
        AWKWARD,
        rows=12,
        diverged={"moons-flow0": [1], "moons-flow1": [0, 1, 2], "gaussian-affine": [0, 1, 2]},
        failed={"moons-flow2": {0: "needs more than <b>0</b> evaluations"}},
        values={
            "moons-flow3": {"bits_per_dim": [float("nan")] * 3},
            "moons-flow4": {"invertibility_error_max": 1.0},
            "moons-flow5": {"bits_per_dim": [1e30] * 3},
        },
        training={"moons-flow6": {"seeds": {}}},
    )


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def opened(browser):
    """A function that opens a page, whose console must stay silent, and which must ask for files alone."""
    contexts, said, asked = [], [], []

    def open_(path, width=1400, scheme="light", anchor=""):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        contexts[-1].set_default_timeout(120_000)  # of a busy machine
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"file://{path}{anchor}", wait_until="domcontentloaded")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file://", "data:"))] == []


def column(page, table, i):
    return page.eval_on_selector_all(f"{table} tbody tr", f"rows => rows.map(row => row.cells[{i}].textContent)")


def test_the_answers_the_map_and_the_chart_stand_within_the_first_900_pixels(laptop, opened):
    page = opened(laptop / "index.html")
    page.wait_for_selector("#speed-chart svg")
    for part in (".facts", ".questions", ".heat .key", "#speed-chart svg", "nav"):
        box = page.locator(part).first.bounding_box()
        assert box["y"] + box["height"] <= 900, part
    assert page.locator(".questions .chip").count() >= 9


def test_a_table_is_sorted_by_its_numbers_from_the_keyboard_too(laptop, opened):
    page = opened(laptop / "index.html")
    table = "#data-moons table.main"
    head = page.locator(f"{table} thead th", has_text="bits per dim").first
    head.click()
    page.wait_for_timeout(200)
    once = [float(text.split()[0].replace("−", "-")) for text in column(page, table, 1)]
    head.focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(200)
    again = [float(text.split()[0].replace("−", "-")) for text in column(page, table, 1)]
    assert once != again
    assert sorted(once) in (once, once[::-1])
    assert again == once[::-1]


def test_a_table_is_filtered(laptop, opened):
    page = opened(laptop / "index.html")
    page.locator("#data-moons input[type=search]").fill("gaussian")
    rows = page.locator("#data-moons table.main tbody tr:visible th")
    assert sorted(text.split()[0] for text in rows.all_inner_texts()) == ["gaussian", "gaussian_mixture"]
    said = page.locator("#data-moons .tools output")
    assert said.inner_text() == ""
    page.locator("#data-moons input[type=search]").fill("no such flow")
    assert said.inner_text() == "No flow matches."
    assert rows.count() == 0


def test_the_map_shows_another_metric_and_the_chart_another_data_set(laptop, opened):
    page = opened(laptop / "index.html")
    assert page.locator(".map:visible").count() == 1
    page.locator("label[for=heat-sample_samples_per_second]").click()
    assert "/s" in page.locator(".map:visible td a").first.inner_text()
    page.wait_for_selector("#speed-chart svg")
    before = page.locator("#speed-chart svg").text_content()
    page.locator("#speed").select_option("digits")
    page.wait_for_function("before => document.querySelector('#speed-chart svg').textContent !== before", arg=before)


def card(page):
    """That of a cell, to which its field leads."""
    page.locator(".map:visible td a[href='#cell-moons-maf']").click()
    found = page.locator("details.cell", has=page.locator("#cell-moons-maf"))
    assert found.evaluate("part => part.open")
    assert "dvc repro suites/tiny/dvc.yaml:evaluate@moons-maf" in found.inner_text()
    return found


def test_a_field_leads_to_its_cell_and_on_to_how_its_run_is_opened(laptop, opened):
    page = opened(laptop / "index.html")
    card(page).locator("a", has_text="how to open it").click()
    assert f"python -m stages.report tiny writes {OWN}, " in page.locator(":target").inner_text()


def test_on_the_page_of_the_own_machine_it_leads_to_the_run(laptop, browser):
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(120_000)  # of a busy machine
    context.route("http://127.0.0.1:5000/", lambda route: route.fulfill(body="MLflow"))
    page = context.new_page()
    page.goto(f"file://{laptop.parents[1] / OWN}")
    card(page).locator("a", has_text="its run").click()
    page.wait_for_url("http://127.0.0.1:5000/#/experiments/1/runs/moons-maf")
    assert page.inner_text("body") == "MLflow"
    context.close()


def test_the_page_of_the_own_machine_links_to_files_of_the_report(laptop):
    page = Page((laptop.parents[1] / OWN).read_text(encoding="utf-8"))
    files = [unquote(address) for address in page.addresses if not address.startswith(("#", "http"))]
    assert len(files) > 10
    assert [name for name in files if not (laptop.parents[1] / "published" / name).is_file()] == []


@pytest.mark.parametrize("scripts", [True, False])
def test_all_is_there_without_scripts(laptop, browser, scripts):
    context = browser.new_context(java_script_enabled=scripts)
    context.set_default_timeout(120_000)  # of a busy machine
    page = context.new_page()
    page.goto(f"file://{laptop}/index.html")
    page.wait_for_timeout(300)
    assert page.locator(".charts noscript img").count() == (0 if scripts else page.locator(".charts .chart").count())
    page.locator("label[for=heat-train_seconds]").click()
    assert page.locator("#map-train_seconds").is_visible()
    context.close()


def test_a_narrow_screen_shows_the_flow_its_score_and_one_column(laptop, opened):
    page = opened(laptop / "index.html", width=400)
    heads = page.locator("#data-moons table.main thead th:visible")
    assert heads.count() == 3
    page.locator("#data-moons .tools select").select_option(label="parameters")
    assert heads.all_inner_texts()[2].startswith("parameters")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.locator(".up").first.evaluate("link => getComputedStyle(link).position") == "static", (
        "it covers no answer"
    )
    heights = page.locator(".chip:visible").evaluate_all("chips => chips.map(chip => chip.offsetHeight)")
    assert max(heights) < 24, "no chip breaks in two lines"


def test_a_legend_shows_what_it_names(laptop, opened):
    page = opened(laptop / "index.html", anchor="#evaluations-moons")
    page.wait_for_selector("#evaluations-moons svg")
    swatches = page.locator("#evaluations-moons .role-legend-symbol path")
    colours = swatches.evaluate_all("paths => paths.map(path => path.getAttribute('stroke'))")
    assert len(colours) == 4
    assert "transparent" not in colours


def test_a_page_is_small_and_loads_fast(laptop, opened):
    assert (laptop / "index.html").stat().st_size < 2_000_000
    took = "performance.timing.domContentLoadedEventEnd - performance.timing.navigationStart"
    assert min(opened(laptop / "index.html").evaluate(took) for _ in range(3)) < 1500, "the fastest, on a busy machine"


def test_the_page_that_travels_needs_no_other_file(laptop, opened, tmp_path):
    alone = tmp_path / "alone.html"
    alone.write_text(report.single_file(laptop), encoding="utf-8")
    page = opened(alone)
    page.wait_for_selector("#speed-chart svg")
    broken = (
        "images => images.filter(image => image.loading !== 'lazy' || image.complete && !image.naturalWidth).length"
    )
    assert page.eval_on_selector_all("img", broken) == 0
    assert "figures/" not in alone.read_text(encoding="utf-8")


def test_awkward_results_are_shown(awkward, opened):
    page = opened(awkward / "index.html")
    text = page.locator("body").inner_text()
    assert "Not run yet: moons-flow39" in text
    assert LONG in text
    assert page.locator(".map:visible td.bad").count() >= 6
    assert page.evaluate("document.documentElement.scrollWidth") <= 1400
    assert "needs more than <b>0</b> evaluations" in text


# That of the own machine differs from the first in the targets of its links.
WAYS = [("own", 1400), *product(("laptop", "awkward", "index"), (1400, 400))]


@pytest.mark.parametrize(("name", "width"), WAYS)
def test_everybody_can_use_the_page(name, width, laptop, awkward, opened):
    """In the light and in the dark."""
    paths = {"laptop": laptop / "index.html", "awkward": awkward / "index.html", "index": laptop.parent / "index.html"}
    page = opened(paths.get(name, laptop.parents[1] / OWN), width)
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}
    for scheme in ("light",) if name == "own" else ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(f"matchMedia('(prefers-color-scheme: {scheme})').matches")
        found = page.evaluate("rules => axe.run(document, rules)", rules)
        assert [(one["id"], len(one["nodes"]), one["nodes"][0]["html"][:200]) for one in found["violations"]] == []
