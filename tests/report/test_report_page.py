"""The page in a browser that has no network: its numbers, its slider, both languages, both themes, four widths."""

import json
import re

import made_records as made
import pytest
from axe_playwright_python.sync_playwright import Axe

from swinprune_lite.report import page_data, write_report
from swinprune_lite.report.costs import costs
from swinprune_lite.report.writing import texts

FAULTS = ("serious", "critical")
NAMES = r"DIMAP|MACs?|MLP|FLOP|PoC|SHA-256|swinprune(?:-lite| \w+)?|ms|kWh|[kMG]B|\bW\b|\bJ\b|English"
"""Latin words of Japanese pages: names and units."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """What the pages show, and their files: of all records, and of a single one."""
    folder, found = tmp_path_factory.mktemp("report"), {}
    for name, records in {"whole": made.everything(), "bare": [made.prune("a")]}.items():
        data = json.loads(json.dumps(page_data(records)))
        found[name] = data, write_report(data, folder / f"{name}.html")
    return found


@pytest.fixture
def tab(browser, pages):
    """Opens a page; at the end nothing was said on the console, and no request left it."""
    complaints, contexts = [], []

    def opened(name="whole", width=1280, language="en", scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, locale=language, color_scheme=scheme, offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if "report" not in request.url else None)
        page.goto(pages[name][1].as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [each for each in complaints if not each.startswith("data:")] == []


def values(page, within):
    """(what it is of, exact value, text) of every number there."""
    return page.evaluate(
        "within => [...document.querySelectorAll(`${within} [data-of], ${within} data`)].map(one => "
        "[one.dataset.of, Number(one.getAttribute('value') ?? one.dataset.value), one.textContent])",
        within,
    )


def move(page, to):
    page.locator("#point").fill(str(to))


def test_the_slider_moves_every_figure_and_each_number_is_the_record_s(tab, pages):
    (group,) = pages["whole"][0]["groups"]
    page = tab()
    shown = {}
    for number, (letter, point) in enumerate(zip("abc", group["series"][0]["points"])):
        move(page, number)
        figures = ("accuracy", "cut", "size", "classes")
        shown[letter] = {name: page.locator(f"#figure-{name} .body").inner_html() for name in figures}
        shown[letter] |= {name: page.locator(f"#say-{name}").inner_text() for name in ("gain", "risk", "sure")}
        for name in ("gain", "risk", "sure"):
            said = point["findings"][0]["sentences"][name]["values"]
            for of, value, _ in values(page, f"#say-{name}"):
                key = of.partition(".")[2]
                assert value == said[key], of
        size = {of: value for of, value, _ in values(page, "#figure-size")}
        assert size["macs"] == made.left(letter, made.DENSE["macs"]) == point["macs"]
        assert size["dense.macs"] == made.DENSE["macs"]
        assert size["file_bytes"] == 60_000_000 + 1000 * ord(letter)
        if letter in "bc":
            assert (size["p50_ms.share"], size["speedup.ratio"]) == (100.0, 1.0)
        changes = {of: value for of, value, _ in values(page, "#figure-classes")}
        for index, (after, before) in enumerate(zip(made.RECALL[letter], made.RECALL["d"])):
            assert changes[f"class_differences.{index}.points"] == after - before
        (percent,) = [value for of, value, _ in values(page, "#figure-accuracy") if of == "top1.percent"][:1]
        assert percent == made.TOP1[letter]
        kept = page.evaluate("[...document.querySelectorAll('#figure-cut .share')].map(one => +one.dataset.value)")
        rows = made.prune(letter)["results"]["stages"]
        assert kept[:12] == pytest.approx([100 * row["kept_macs"] / row["macs"] for row in rows])
        assert page.locator("#point").get_attribute("aria-valuetext") == page.locator("#ratio").inner_text()
        found = {of: value for of, value, _ in values(page, "#criteria")}
        low, high = made.TOP1["d"] - made.TOP1[letter] - 0.625, made.TOP1["d"] - made.TOP1[letter] + 0.625
        assert (found["criteria.loss.0"], found["criteria.loss.1"]) == (low, high)
    assert all(len({each[name] for each in shown.values()}) == 3 for name in shown["a"])
    page.locator("#place").select_option("1")
    move(page, 1)
    assert {of: value for of, value, _ in values(page, "#figure-size")}["speedup.ratio"] == 1.5
    assert "1.50 times as fast" in page.locator("#say-gain").inner_text()


def test_numbers_are_rounded_as_they_should(tab):
    page = tab()
    move(page, 2)
    texts = {of: text for of, _, text in values(page, "#say-risk")}
    assert (texts["risk.against"], texts["risk.top1"], texts["risk.loss"]) == ("91.3 %", "84.0 %", "7.3")
    assert {of: text for of, _, text in values(page, "#figure-size")}["macs"] == "1,980,000,000"


def test_costs_are_those_of_python_and_follow_what_is_typed(tab):
    page = tab()
    move(page, 1)
    page.locator("#place").select_option("1")
    asked = {"images": [1e6, 2e6], "machines": 4, "watts": [150, 300], "years": 3, "price": [0.5, 1.5],
             "power_price": [0.1, 0.25], "milliseconds": 10.0, "speedup": [1.45, 1.55]}  # fmt: skip

    def agree():
        expected = costs(asked)
        for of, value, _ in values(page, "#cost-results"):
            _, name, end = of.split(".")[:3]
            assert value == pytest.approx(expected[name][int(end)]), of
        saving = {of: value for of, value, _ in values(page, "#criteria")}
        assert saving["criteria.saving.0"] == pytest.approx(expected["saving"][0])

    agree()
    for field, value in (("images-1", 5e6), ("price-0", 0.75), ("speedup-1", 3), ("years-0", 5)):
        name, end = field.split("-")
        page.locator(f"#cost-{field}").fill(f"{value:g}" if value < 1e5 else str(int(value)))
        if isinstance(asked[name], list):
            asked[name][int(end)] = value
        else:
            asked[name] = value
    agree()
    page.locator("#cost-images-0").fill("")
    assert page.locator("#cost-results").inner_text() == texts("en")["costs.wrong"]
    assert page.locator("#cost-images-0").get_attribute("aria-invalid") == "true"
    page.locator("#reset").click()
    assert page.locator("#cost-images-1").input_value() == "2000000"


def test_thresholds_can_be_set_and_an_interval_across_one_is_open(tab):
    page = tab()
    move(page, 1)  # a loss of 0.75 ± 0.625
    for limit, verdict in ((1.5, "Go"), (1.0, "Open"), (0.1, "No-go"), ("", "No threshold")):
        page.locator("#threshold-loss").fill(str(limit))
        assert page.locator("#criterion-loss .judged").inner_text() == verdict
    page.locator("#threshold-loss").fill("0.1")
    assert page.locator("#verdict").inner_text().startswith("No-go")
    assert page.locator("#criterion-memory .judged").inner_text() == "Go"


@pytest.mark.parametrize("name", ["whole", "bare"])
def test_japanese_is_whole(tab, pages, name):
    page = tab(name, language="ja-JP")
    given = [made.DENSE["name"], made.DENSE["architecture"], *made.CLASSES, made.MACHINE, "cuda, a board"]
    words = ["eager", "float32", r"record \d+", "prune|evaluate|bench|finetune", "swinprune_lite|torch|timm|python"]
    words += ["d{64}"]
    for number in range(len(pages[name][0]["groups"][0]["series"][0]["points"])):
        move(page, number) if name == "whole" else None
        said = page.evaluate(
            "(document.querySelectorAll('details').forEach(one => one.open = true), document.body.innerText) + "
            "[...document.querySelectorAll('[aria-label]')].map(one => one.getAttribute('aria-label')).join('\\n') + "
            "document.title"
        )
        assert "undefined" not in said
        assert "NaN" not in said
        bare = re.sub(
            "|".join([*map(re.escape, given), *words, NAMES]), " ", re.sub(r"`[^`]*`|--structured", " ", said)
        )
        assert re.findall(r"[A-Za-z]{2,}|\b\w+\.\w*[a-z]\w*", bare) == []
    assert page.evaluate("document.documentElement.lang") == "ja"
    page.locator("#languages [lang=en]").click()
    japanese = re.findall(r"[\u3040-\u30ff\u4e00-\u9fff]+", page.locator("main").inner_text())
    assert japanese == []


def test_what_was_not_measured_has_no_figure(tab):
    page = tab("bare")
    assert page.locator("#figure-accuracy svg, #figure-classes svg").count() == 0
    assert page.locator("#figure-accuracy").inner_text().endswith("swinprune evaluate measures it.")
    assert page.locator("#criteria .tag.unmeasured").count() == 10
    assert "not measured" in page.locator("#risks").inner_text()
    assert not page.locator("#point").is_visible()
    assert page.locator("#lead").inner_text().startswith("All four figures are of this one cut.")
    assert "slider" not in page.locator("#why").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_screen_or_hard_to_reach(tab, pages, scheme):
    for language in ("en", "ja"):
        page = tab(language=language, scheme=scheme)
        for width in (390, 768, 1280, 1920):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(50)
            assert page.evaluate("document.scrollingElement.scrollWidth") <= width
            small = page.evaluate(
                "[...document.querySelectorAll('svg text')].map(one => parseFloat(getComputedStyle(one).fontSize) * "
                "one.ownerSVGElement.getBoundingClientRect().width / one.ownerSVGElement.viewBox.baseVal.width)"
            )
            assert min(small) >= 9
            cut = page.evaluate(
                "[...document.querySelectorAll('svg text')].filter(one => { const box = one.getBoundingClientRect(); "
                "return box.right > innerWidth + 1 || box.left < -1; }).map(one => one.textContent)"
            )
            assert cut == []
        if (language, scheme) not in (("en", "light"), ("ja", "dark")):
            continue
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        faults = [each for each in Axe().run(page).response["violations"] if each["impact"] in FAULTS]
        assert [(each["id"], [node["html"] for node in each["nodes"]][:3]) for each in faults] == []
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator(f"#themes [data-theme={'light' if scheme == 'dark' else 'dark'}]").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != paper
    assert pages["whole"][1].stat().st_size < 3e6


def test_it_works_by_keyboard_and_prints(tab):
    page = tab()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator("#point").focus()
    before = page.locator("#ratio").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.locator("#ratio").inner_text() != before
    page.locator("#languages [lang=ja]").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.lang") == "ja"
    assert page.locator("#currency").input_value() == "JPY"
    assert page.locator("#say-gain").inner_text().startswith("計算量")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator(".switches").is_visible()
