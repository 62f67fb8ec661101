"""The book builds without a warning and reads well in a browser that has no network."""

import io
import json
import re
import shutil
import subprocess
import sys
from html import unescape
from importlib import metadata
from pathlib import Path
from urllib.parse import urlparse

import api_pages
import assemble
import contents
import nbformat
import pandas as pd
import pngs
import printing
import publish
import pypdf
import pytest
import status_page
import terms
import yaml
from axe_playwright_python.sync_playwright import Axe
from forked import Forked
from PIL import Image
from teaching import quiz

import swinprune_lite as sp
from swinprune_lite.report.lite import MODELS
from swinprune_lite.studies import estimate, pretrained
from swinprune_lite.studies.profiles import get_profile

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "book" / "_config.yml").read_text())
PAGES = contents.pages()
SCROLLING = """[...document.querySelectorAll(".scrolls")].filter(box => box.scrollWidth > box.clientWidth + 1)
  .map(box => box.innerText.slice(0, 80))"""
"""Tables of numbers that are wider than their place."""


DECIDE = {
    page: f"decide/{language}{Path(page).stem}"
    for page in PAGES
    for language in (["ja/", ""]["/ja/" in page],)
    if page.startswith("decide/")
}

TEACH = [page for page in PAGES if page.startswith("teach/")]


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """The book, built from the committed notebooks."""
    source = tmp_path_factory.mktemp("book")
    binaries = Path(sys.executable).parent
    assembled = Forked([ROOT / "book/assemble.py", ROOT / "notebooks", source])
    assert assembled.wait(60) == 0, assembled.said()
    built = Forked([binaries / "jupyter-book", "build", "--warningiserror", "--keep-going", "--quiet", source])
    assert built.wait(300) == 0, built.said()
    return source / "_build" / "html"


def test_every_notebook_is_in_the_book():
    assert {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")} <= set(PAGES)


def test_equations_one_to_ten_are_numbered(html):
    text = (html / "notebooks/equations_1_to_10.html").read_text()
    assert re.findall(r'<span class="eqno">\((\d+)\)', text) == [str(number) for number in range(1, 11)]


def test_first_page_shows_the_totals_of_the_ledger(html):
    text = unescape(re.sub(r"<[^>]+>|\s+", " ", (html / "index.html").read_text())).replace("’", "'")
    verdicts = pd.read_csv(ROOT / "results" / "ledger.csv").verdict.str.partition(":")[0]
    for verdict, count in verdicts.value_counts().items():
        assert re.search(rf"{re.escape(verdict)}\s+{count}\b", text), verdict
    assert re.search(r"all\s+315\b", text)


def test_first_page_shows_what_carries_over_to_the_pretrained_transformer(html):
    text = unescape(re.sub(r"<[^>]+>|\s+", " ", (html / "index.html").read_text()))
    rows = [line.strip("| ").split(" | ") for line in assemble.carried_table().splitlines()]
    assert [row[0] for row in rows[2:]] == list(pretrained.VERDICTS)
    assert all(re.search(r"\s+".join(map(re.escape, row)), text) for row in (rows[0], *rows[2:]))


def test_a_page_with_numbers_says_what_they_are_of_and_one_without_says_nothing(html):
    said = {}
    for page in (page for page in PAGES if page not in DECIDE):
        text = unescape(re.sub(r"<[^>]+>|\s+", " ", (html / f"{page}.html").read_text()))
        above, _, below = text.partition(assemble.NOTE)
        said[page] = re.match(
            r"\s*(Of no profile|Profile lite: Lite-T \(\s*swin_lite_tiny\s*\), Lite-S \(\s*swin_lite_small\s*\), "
            r"Lite-B \(\s*swin_lite_base\s*\)\.|Profile lite: Lite-micro \(\s*swin_lite_micro\s*\), Lite-T \()",
            below,
        )
        assert bool(said[page]) == bool(below), page
        assert "Profile lite" not in above, page
    of_no_numbers = {*TEACH, "report", "commands", "rerun", "bibliography", "where_is", "glossary"}
    of_no_numbers |= {"api", "api_rooms", "contributing", "status"}
    assert {page for page in said if not said[page]} == of_no_numbers
    counts = {"figure1_components", "table2_state_of_the_art", "figure4_acceleration", "beyond_architectures"}  # times
    of_none = {page for page in said if said[page] and said[page][1] == "Of no profile"}
    assert of_none == {"real", "errata", *(f"notebooks/{stem}" for stem in counts)}
    marks = (assemble.TOTALS, assemble.CARRIED, assemble.ESTIMATES, assemble.STARS, assemble.ERRATA.partition("{")[0])
    for mark in marks:
        assert not [path for path in html.glob("*.html") if mark in path.read_text()]


@pytest.mark.parametrize("page", DECIDE)
def test_a_page_for_decision_makers_speaks_one_language_leads_to_the_other_and_says_whose_its_numbers_are(html, page):
    text, path = (html / f"{page}.html").read_text(), html / f"{page}.html"
    article = re.search("<article.*?</article>", text, re.DOTALL)[0]
    other = html / f"{DECIDE[page]}.html"
    assert other.resolve() in {(path.parent / link).resolve() for link in re.findall(r'href="([^"#]+)"', article)}
    japanese = page.startswith("decide/ja/")
    assert re.search(r'<html lang="(\w+)"', text)[1] == ("ja" if japanese else "en")
    assert (assemble.NOTE_JA if japanese else assemble.NOTE) in article
    words = unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<(div|span)[^>]*math.*?</\1>", "", article, flags=re.DOTALL)))
    assert "**" not in words
    assert "{doc}" not in words
    heads = [
        re.sub(r"<[^>]+>", "", head) for head in re.findall(r"<(?:h\d|th)[ >].*?</(?:h\d|th)>", article, re.DOTALL)
    ]
    letters = re.compile("[\u3041-\u30ff\u4e00-\u9fff]")
    assert [
        head for head in heads if bool(letters.search(head)) != japanese and not re.fullmatch(r"\W*n\W*", head)
    ] == []


@pytest.mark.parametrize(
    ("page", "holds"),
    [
        ("# A\n\nIt lost 3 % of it.", True),
        ("# A\n\nIt is 1.5 times\nas fast.", True),
        (f"# A\n\n{assemble.TOTALS}", True),
        ("# A\n\n```{warning}\nIt lost 0.3 points.\n```", True),
        ("# A\n\n```\nlost 3 %\n```\nSet `ratio=3 %` in line 2.", False),
        ("# A\n\nIt needs Python 3.11.", False),
    ],
)
def test_a_page_holds_numbers_if_it_states_results(page, holds):
    assert assemble.holds_numbers(page) is holds


def test_the_first_use_of_a_term_in_prose_is_linked_and_nothing_else():
    code = "# A mask\n\n`mask` $mask$ [mask](x) *mask* ```\nmask\n``` <mask> {doc}`mask`\n\n```python\nmask\n```\n"
    said = terms.linked("page", [code + "Masks and masks, 2 ± 1.", "One mask of FC1s; unmasked ± 2."])
    assert said == [
        code + "{term}`Masks <mask>` and masks, 2 {doc}`± </how_we_measure>` 1.",
        "One mask of {term}`FC1s <FC1>`; unmasked ± 2.",
    ]
    assert terms.linked("page", ["{term}`cut <mask>` by a mask"]) == ["{term}`cut <mask>` by a mask"]
    assert terms.linked("how_we_measure", ["±"]) == ["±"]
    assert terms.linked("glossary", ["mask"]) == terms.linked("decide/ja/x", ["mask"]) == ["mask"]


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("notebooks/")])
def test_links_to_terms_change_no_word(page):
    cells = nbformat.read(ROOT / f"{page}.ipynb", as_version=4).cells
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    said = terms.linked(page, texts)
    assert said != texts
    unlinked = re.compile(r"\{(?:term|doc)\}`([^`<]*?)(?: <[^`>]*>)?`")
    assert [unlinked.sub(r"\1", text) for text in said] == [unlinked.sub(r"\1", text) for text in texts]


def test_estimates_are_called_estimates_and_follow_from_what_was_measured(html):
    text = unescape(re.sub(r"<[^>]+>|\s+", " ", (html / "real.html").read_text()))
    assert "All hours and gigabytes here are estimates." in text
    times = estimate.hours(get_profile("imagenet"), estimate.COLAB)["fine-tuning"]
    assert all(f" {value:,.0f} " in text for value in times)
    measured = estimate.throughput()["rows"].set_index(["model", "work"])
    assert f" {measured.images_a_second['Swin-T', 'evaluation']:.1f} " in text


def test_the_report_of_the_lite_models_is_in_it(html):
    page = (html / "_static" / assemble.REPORT).read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert [(group["name"], group["lite"]) for group in data["groups"]] == [(name, True) for name in MODELS]
    assert f'href="_static/{assemble.REPORT}"' in (html / "report.html").read_text()


def test_links_and_images_lead_somewhere(html):
    broken = publish.broken_links(html)
    drawn = {f"{path.stem}.png" for path in (html / "_images").glob("*.svg")}  # `pngs` makes these of the SVGs
    assert [(page, link) for page, link in broken if link.rpartition("_images/")[2] not in drawn] == []


def test_what_is_published_is_for_readers_and_its_links_lead_somewhere(tmp_path):
    html, site = tmp_path / "html", tmp_path / "site"
    for name in (
        ".buildinfo",
        "tippy_doi_cache.json",
        "_static/a.css.map",
        "_static/a-macros.html",
        "_static/a.css",
        "b/c.html",
    ):
        (html / name).parent.mkdir(parents=True, exist_ok=True)
        (html / name).write_text('<h1 id="h">C</h1><script>"src=\\"none.js\\""</script>')
    index = html / "index.html"
    with pytest.raises(SystemExit, match="holds no book; run 'make book'"):
        publish.main(html, site)
    index.write_text('<img src="_static/a.css"><a href="b/c.html#h">C</a><a href="https://example.org/none">D</a>')
    (site / "old.html").parent.mkdir()
    (site / "old.html").touch()
    publish.main(html, site)
    found = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert found == {".nojekyll", "index.html", "_static/a.css", "b/c.html"}
    for link in ("b/d.html", "b/c.html#none", "#none", "../html/index.html"):
        index.write_text(f'<a href="{link}">C</a>')
        with pytest.raises(SystemExit, match=f"Links that lead nowhere: {link} on index.html"):
            publish.main(html, site)


def test_the_status_says_how_long_each_notebook_took_and_of_none_that_it_does_not_know(html, tmp_path):
    text = unescape(re.sub(r"<[^>]+>|\s+", " ", (html / "status.html").read_text()))
    assert "This build ran no notebook." in text  # as here, from the committed ones
    assert all(f" {name} {metadata.version(name)} " in re.sub(" +", " ", text) for name in status_page.LIBRARIES)
    for stem, seconds in (("idea_swin", 8.6), ("figure6_masks", None), ("idea_pruning", 12.2)):
        notebook = nbformat.v4.new_notebook()
        if seconds:
            started = {"start_time": "2026-11-26T12:21:03.820587+00:00", "parameters": {"profile": "lite"}}
            notebook.metadata.papermill = {"duration": seconds, **started}
        nbformat.write(notebook, tmp_path / f"{stem}.ipynb")
    lines = status_page.status(tmp_path.glob("*.ipynb")).splitlines()
    assert lines[2:6] == [
        "| {doc}`notebooks/idea_swin` | 9 | 2026-11-26 12:21 | lite |",
        "| {doc}`notebooks/idea_pruning` | 12 | 2026-11-26 12:21 | lite |",
        "| {doc}`notebooks/figure6_masks` | not recorded | not recorded | not recorded |",
        "| **all that are recorded** | **21** |  |  |",
    ]


def test_every_public_name_has_its_docstring_in_the_book(html):
    pages = {page: unescape((html / f"{page}.html").read_text()) for page in ("api", "api_rooms")}
    homes = {name: f"{home}.{name}" for home, names in sp.HOMES.items() for name in names}
    for name in sp.__all__:
        assert f'id="swinprune_lite.{name}"' in pages["api"] or f'id="swinprune_lite.{homes[name]}"' in pages["api"], (
            name
        )
    files = [path for room in ("pruning", "repairing") for path in (ROOT / "swinprune_lite" / room).glob("*.py")]
    rest = {f"{path.parent.name}.{path.stem}.{name}" for path in files for name in api_pages.public(path)}
    rest -= set(homes.values())
    assert len(rest) > 50
    assert [name for name in rest if f'id="swinprune_lite.{name}"' not in pages["api_rooms"]] == []
    said = {page: re.sub(r"<[^>]+>", "", text) for page, text in pages.items()}
    assert (
        "float64 tensor of the weight’s shape, values in [0, 1]: 1 for the largest" in said["api"]
    )  # no type, its end
    assert "|w_ij| E[x_j^2]^(1/2)" in said["api_rooms"]  # no markup


def test_a_page_is_printed_with_contents_sheets_and_links(html, browser):
    parts = [("Part A", ["notebooks/idea_score_by_hand"]), ("Part B", ["where_is"])]
    sheets = pypdf.PdfReader(io.BytesIO(printing.printed(browser, html, parts, "A book", "https://example.org/")))
    texts = [" ".join(sheet.extract_text().split()) for sheet in sheets.pages]
    starts = [
        next(n for n, text in enumerate(texts, 1) if n > 2 and title in text) for title in ("by hand", "Where is")
    ]
    assert starts[0] == 3
    assert starts[1] > 4
    assert f"Part A 3. The score by hand {starts[0]} Part B Where is Table 3? {starts[1]}" in texts[1]
    assert "Hide the solution" in " ".join(texts)  # what is folded on a screen is open
    links = [note.get_object() for sheet in sheets.pages for note in sheet.get("/Annots", [])]
    out = [link["/A"]["/URI"] for link in links if "/URI" in link.get("/A", {})]
    assert "https://example.org/glossary.html#term-weight" in out  # not printed, so it leads to the book
    assert not [address for address in out if address.startswith(("file:", "https://example.org/where_is"))]


def test_without_a_chromium_the_pdf_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setattr(printing.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="printed by Chromium, and none is installed; install one of chromium, "):
        printing.main()


def test_colab_button_opens_the_committed_notebook(html):
    repository = CONFIG["repository"]
    for page in (page for page in PAGES if page.startswith("notebooks/")):
        address = repository["url"].replace("https://github.com", "https://colab.research.google.com/github")
        assert f'href="{address}/blob/{repository["branch"]}/{page}.ipynb"' in (html / f"{page}.html").read_text()
        assert (ROOT / f"{page}.ipynb").is_file()


def test_the_repositorys_address_stands_in_the_configuration_and_where_the_notebooks_install_from_it():
    address = urlparse(CONFIG["repository"]["url"]).path.strip("/")
    listed = subprocess.run(["git", "grep", "-lI", address], cwd=ROOT, capture_output=True, text=True).stdout.split()
    assert set(listed) == {"book/_config.yml", *(f"{page}.ipynb" for page in PAGES if page.startswith("notebooks/"))}


def test_the_threshold_moves_by_the_keyboard_and_without_a_network(html, browser):
    context = browser.new_context(viewport={"width": 390, "height": 900}, offline=True)
    tab = context.new_page()
    tab.goto((html / "notebooks/idea_score_by_hand.html").as_uri())
    explorer, slider = tab.locator("#threshold-explorer"), tab.locator("#threshold-slider")
    before = explorer.locator(".said").text_content()
    shares = {int(share) for share in re.findall(r"(\d+) % of FC1 of block", before)}
    assert explorer.locator("output").text_content() == "50 %"
    slider.focus()
    tab.keyboard.press("ArrowLeft")
    assert explorer.locator("output").text_content() == slider.get_attribute("aria-valuetext").split(" of")[0] == "48 %"
    assert explorer.locator(".said").text_content() != before
    assert [svg.get_attribute("aria-label") in before for svg in explorer.locator("svg").all()] == [False, False]
    tab.keyboard.press("Home")
    assert set(re.findall(r"(\d+) % of FC1 of block", explorer.locator(".said").text_content())) == {"0"}
    row = explorer.locator("tbody tr").nth(5).locator("td")  # the text alternative says the same
    assert {int(cell.removesuffix(" %")) for cell in row.all_text_contents()} == shares
    context.close()


@pytest.mark.parametrize("page", PAGES)
def test_in_a_browser_without_a_network(html, browser, page):
    context = browser.new_context(viewport={"width": 390, "height": 900}, color_scheme="dark", offline=True)
    tab, complaints = context.new_page(), []
    tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("requestfailed", lambda request: complaints.append(request.url))
    tab.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
    tab.goto((html / f"{page}.html").as_uri())
    mathematics = tab.locator(".math").count()
    if mathematics:
        tab.wait_for_selector("mjx-container", state="attached", timeout=20_000)
        tab.wait_for_function("MathJax.startup.promise.then(() => true)")
        assert tab.locator("mjx-container").count() >= mathematics
        assert tab.locator("mjx-merror").count() == 0
    assert tab.evaluate("[...document.images].filter(i => !(i.complete && i.naturalWidth)).map(i => i.src)") == []
    assert tab.locator("article h1").first.is_visible()
    # nothing is wider than the screen but what scrolls by itself, and in a wide window no table of numbers does
    for width, scheme in ((390, "dark"), (768, "dark"), (1280, "light"), (1920, "light")):
        tab.emulate_media(color_scheme=scheme)
        tab.set_viewport_size({"width": width, "height": 900})
        assert tab.evaluate("document.scrollingElement.scrollWidth") <= width
        assert width < 1280 or tab.evaluate(SCROLLING) == []
    context.close()
    assert complaints == []


def test_the_quiz_has_ten_questions_a_session_each_with_one_right_choice(html):
    text = (html / "teach/quiz.html").read_text()
    for part, session in zip(re.split(r"<h2>Session \d", text)[1:], quiz.sessions(), strict=True):
        asked = re.split(r"<strong>Question \d+\.</strong>", part)[1:]
        assert len(asked) == quiz.PER_SESSION
        assert [question.count("<strong>Right.</strong>") for question in asked] == [1] * len(asked)
        kept = json.loads((html / f"_static/quiz_{session}.json").read_text())  # as jupyterquiz takes them
        assert [[answer["correct"] for answer in one["answers"]].count(True) for one in kept] == [1] * len(asked)
        assert [len(one["answers"]) for one in kept] == [question.count("<summary") for question in asked]
        assert all(answer["feedback"] for one in kept for answer in one["answers"])
    for page in TEACH:
        assert "<!--" not in re.search("<article.*?</article>", (html / f"{page}.html").read_text(), re.DOTALL)[0]


def test_a_choice_of_the_quiz_opens_by_the_keyboard(html, browser):
    tab = browser.new_page(viewport={"width": 390, "height": 900})
    tab.goto((html / "teach/quiz.html").as_uri())
    choice = tab.locator("details.quiz-choice").first
    assert not choice.locator("p").is_visible()
    choice.locator("summary").focus()
    tab.keyboard.press("Enter")
    assert choice.locator("p").is_visible()
    tab.close()


def test_no_slide_overflows_and_the_arrow_keys_turn_the_page(html, browser):
    context = browser.new_context(viewport={"width": 1280, "height": 720}, offline=True)
    tab = context.new_page()
    for path in sorted((html / "_static").glob("slides_*.html")):
        tab.goto(path.as_uri())
        over = tab.evaluate(
            """() => [...document.querySelectorAll("section")].flatMap(slide => {
              const page = slide.getBoundingClientRect()
              const foot = slide.querySelector("footer").getBoundingClientRect().top
              return [...slide.querySelectorAll("h1, h2, .body, .body *")].filter(part => {
                const place = part.getBoundingClientRect()
                const beside = place.left < page.left || place.right > page.right
                return beside || place.top < page.top || place.bottom > foot + 1
              }).map(part => slide.getAttribute("aria-label") + ": " + part.tagName)
            })"""
        )
        assert over == [], path.name
        assert tab.evaluate("[...document.images].every(image => image.naturalWidth && image.alt)")
        tab.keyboard.press("ArrowRight")
        tab.wait_for_function("scrollY === innerHeight")
    context.close()


@pytest.mark.parametrize(
    ("page", "scheme"),
    [("index", "light"), ("notebooks/table4_model_as_module", "dark"), ("notebooks/idea_score_by_hand", "light")],
)
def test_axe_finds_no_serious_fault(html, browser, page, scheme):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme, offline=True)
    tab = context.new_page()
    tab.goto((html / f"{page}.html").as_uri())
    tab.wait_for_function("!window.MathJax || MathJax.startup.promise.then(() => true)")
    for term in tab.locator("article a[href*='glossary.html#term-']").all()[:1]:  # what it says counts too
        term.focus()
        assert tab.locator(".tippy-box").text_content().startswith(term.get_attribute("href").partition("#term-")[2])
    found = Axe().run(tab).response["violations"]
    context.close()
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_figure_is_drawn_for_the_theme_and_can_be_taken_away(html, browser, scheme):
    tab = browser.new_page(color_scheme=scheme, viewport={"width": 390, "height": 900})
    tab.goto((html / "notebooks/idea_score_by_hand.html").as_uri())
    figure = tab.locator("article figure:not(.numbers)").first
    seen = [image.get_attribute("src") for image in figure.locator("img").all() if image.is_visible()]
    assert [name.endswith("-dark.svg") for name in seen] == [scheme == "dark"]
    links = [link.get_attribute("href") for link in figure.locator(".take a").all()]
    tab.close()
    assert [Path(link).suffix for link in links] == [".svg", ".png"]
    assert {Path(link).stem for link in links} == {Path(seen[0]).stem.removesuffix("-dark")}


def test_pngs_are_made_of_the_drawings(html, tmp_path):
    (tmp_path / "_images").mkdir()
    drawing = next((html / "_images").glob("*-dark.svg"))
    drawing = drawing.with_name(drawing.name.replace("-dark", ""))
    shutil.copy(drawing, tmp_path / "_images")
    pngs.main(tmp_path)
    assert Image.open(tmp_path / "_images" / f"{drawing.stem}.png").width > 500


def test_every_japanese_character_has_a_glyph(html, browser):
    """What no font has is drawn as one and the same box, that of a code point which is no character."""
    if not subprocess.run(["fc-list", ":lang=ja"], capture_output=True, text=True).stdout:
        pytest.skip("no Japanese font is installed; .ci/run installs one")
    pages = [page for page in DECIDE if page.startswith("decide/ja/")]
    articles = (re.search("<article.*?</article>", (html / f"{page}.html").read_text(), re.DOTALL)[0] for page in pages)
    letters = sorted(set(re.findall(r"[^\x00-\x7f]", unescape("".join(articles)))))
    tab = browser.new_page()
    tab.goto((html / f"{pages[0]}.html").as_uri())
    drawn = tab.evaluate(
        """letters => {
          const pen = Object.assign(document.createElement("canvas"), {width: 40, height: 40}).getContext("2d")
          pen.font = "32px " + getComputedStyle(document.querySelector("article p")).fontFamily
          return letters.map(letter => {
            pen.clearRect(0, 0, 40, 40)
            pen.fillText(letter, 2, 34)
            return pen.getImageData(0, 0, 40, 40).data.join()
          })
        }""",
        [*letters, "\U0010fffd"],
    )
    tab.close()
    assert len(letters) > 300
    assert [letter for letter, pixels in zip(letters, drawn) if pixels == drawn[-1]] == []
