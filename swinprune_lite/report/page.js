// The page: switches, pickers, slider, and what is drawn anew when they move.

function drawAll() {
  const cut = point();
  byId("ratio").textContent = ratioSaid(cut);
  byId("point").setAttribute("aria-valuetext", ratioSaid(cut));
  const { sentences } = findings();
  for (const [name, said] of Object.entries(sentences)) empty(byId(`say-${name}`)).append(say(said.key, said.values, `${name}.`));
  const start = group().start;
  const opened = state.series === start.series && state.point === start.point;
  const why = empty(byId("why"));
  if (opened && cuts() > 1) why.append(say(`why.${start.why}`, { bearable: DATA.bearable }), slides() ? text("why.move") : "");
  drawFigures();
  drawCosts();
  drawRisks();
  drawDecision();
  drawPhrases();
}

function drawFigures() {
  drawAccuracy();
  drawCut();
  drawSize();
  drawClasses();
}

function options(id, names, chosen) {
  const select = empty(byId(id));
  names.forEach((name, value) => select.append(make("option", { value }, name)));
  select.value = chosen;
}

const cuts = () => group().series.reduce((sum, one) => sum + one.points.length, 0);
const slides = () => series().points.length > 1;

function buildPickers() {
  const here = group();
  options("group", DATA.groups.map((one) => one.name), state.group);
  options("series", here.series.map(seriesName), state.series);
  options("place", here.places.map((one) => plain("place", one)), state.place);
  byId("pick-group").hidden = DATA.groups.length < 2;
  byId("pick-place").hidden = here.places.length < 2;
  byId("point").max = series().points.length - 1;
  byId("point").value = state.point;
  byId("point").disabled = byId("point").hidden = !slides();
  empty(byId("lead")).append(say(slides() ? "figures.lead" : "figures.lead_one"));
  byId("notice").hidden = !here.lite;
  if (here.lite) byId("notice").textContent = text("lite.notice");
  byId("title").textContent = here.name;
  const facts = { architecture: here.architecture, parameters: here.dense.parameters, macs: here.dense.macs };
  const size = here.image_size && { height: here.image_size[0], width: here.image_size.at(-1) };
  empty(byId("facts")).append(say(size ? "facts" : "facts.short", { ...facts, ...size }, "dense."));
}

function buildAbout() {
  const body = empty(document.querySelector("#about .body"));
  const notes = ["about.evidence", "about.macs", ...(group().lite && DATA.sources[0].command === "store" ? ["about.lite"] : [])];
  for (const key of notes) body.append(make("p", {}, text(key)));
  body.append(make("p", { class: "digest" }, say("about.digest", { sha256: group().sha256 })));
  const rows = DATA.sources.map((one) => [
    make("span", { translate: "no" }, one.file),
    one.command === "store" ? text("about.store") : make("code", {}, one.command),
    one.date ? new Intl.DateTimeFormat(state.language, { dateStyle: "medium", timeZone: "UTC" }).format(new Date(one.date)) : "–",
    make("span", { translate: "no" }, Object.entries(one.versions ?? {}).map((pair) => pair.join(" ")).join(", ") || "–"),
  ]);
  const heads = ["file", "command", "date", "versions"].map((name) => text(`about.${name}`));
  body.append(make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": text("about.title") }, table(heads, rows, text("about.title"))));
}

function chooseLanguage(language) {
  state.language = language;
  document.documentElement.lang = language;
  document.title = `${text("title")}: ${group().name}`;
  for (const element of document.querySelectorAll("[data-t]")) element.replaceChildren(say(element.dataset.t));
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", text(element.dataset.label));
  const languages = empty(byId("languages"));
  languages.hidden = Object.keys(TEXTS).length < 2;
  languages.setAttribute("aria-label", text("languages"));
  for (const one of Object.keys(TEXTS)) {
    const button = make("button", { type: "button", lang: one, "aria-pressed": String(one === language) }, TEXTS[one].language);
    button.addEventListener("click", () => {
      chooseLanguage(one);
      document.querySelector(`#languages [lang="${one}"]`).focus();
    });
    languages.append(button);
  }
  buildThemes();
  buildPickers();
  buildCosts();
  buildDecision();
  buildAbout();
  drawAll();
}

function buildThemes() {
  const themes = empty(byId("themes"));
  themes.setAttribute("aria-label", text("themes"));
  for (const one of ["auto", "light", "dark"]) {
    const button = make("button", { type: "button", "data-theme": one, "aria-pressed": String(one === state.theme) }, text(`theme.${one}`));
    button.addEventListener("click", () => {
      state.theme = one;
      document.documentElement.dataset.theme = one;
      for (const each of themes.children) each.setAttribute("aria-pressed", each === button);
    });
    themes.append(button);
  }
}

function begin(number) {
  const { start } = DATA.groups[number];
  Object.assign(state, { group: number, series: start.series, point: start.point, place: 0 });
}

byId("group").addEventListener("change", (event) => {
  begin(Number(event.target.value));
  document.title = `${text("title")}: ${group().name}`;
  buildPickers();
  buildAbout();
  drawAll();
});
byId("series").addEventListener("change", (event) => {
  const share = macsRemoved(point());
  state.series = Number(event.target.value);
  const distance = series().points.map((one) => Math.abs(macsRemoved(one) - share)); // stay near the cut that is shown
  state.point = distance.indexOf(Math.min(...distance));
  buildPickers();
  drawAll();
});
byId("place").addEventListener("change", (event) => {
  state.place = Number(event.target.value);
  drawAll();
});
byId("point").addEventListener("input", (event) => {
  state.point = Number(event.target.value);
  drawAll();
});
byId("print").addEventListener("click", () => window.print());

let drawn = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth === drawn) return; // a phone's address bar moves without a change of width
  drawn = window.innerWidth;
  drawFigures();
});

const preferred = Object.keys(TEXTS).find((one) => navigator.language.startsWith(one)) ?? Object.keys(TEXTS)[0];
document.documentElement.dataset.theme = state.theme;
begin(0);
chooseLanguage(preferred);
