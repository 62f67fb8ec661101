// What a decision needs: costs, risks, thresholds and sentences.

const RANGES = ["images", "price", "watts", "power_price", "speedup"];
const FIELDS = ["images", "machines", "years", "price", "watts", "power_price", "milliseconds", "speedup"];
const CURRENCIES = { en: "USD", ja: "JPY" };
const inputs = { currency: "", chosen: false, values: {}, touched: new Set() };
const thresholds = Object.fromEntries(DATA.criteria.map((one) => [one.name, one.threshold]));

// What a field holds until its reader types: a default, or for the times what was measured at the chosen point.
function given(name) {
  const { defaults, common, unmeasured } = DATA.calculator;
  const dense = timing(group().dense);
  const speed = timing(point())?.speedup;
  if (name === "milliseconds") return dense?.images_per_second ? [1000 / dense.images_per_second, "measured"] : [unmeasured.milliseconds, "default"];
  if (name === "speedup") return speed ? [[speed.low, speed.high], "measured"] : [unmeasured.speedup, "default"];
  return [common[name] ?? defaults[inputs.currency][name], "default"];
}

// The language's own currency, until the reader chooses one or types a price.
function chooseCurrency() {
  const typed = inputs.chosen || inputs.touched.has("price") || inputs.touched.has("power_price");
  if (!typed) inputs.currency = CURRENCIES[state.language];
}

const current = (name) => (inputs.touched.has(name) ? [inputs.values[name], "yours"] : given(name));

function times(...ranges) {
  return ranges.reduce(([low, high], [first, last]) => {
    const corners = [low * first, low * last, high * first, high * last];
    return [Math.min(...corners), Math.max(...corners)];
  }, [1, 1]);
}

// The same as costs.py, which says what is what; null where a number is none.
function costs() {
  const asked = Object.fromEntries(FIELDS.map((name) => [name, current(name)[0]]));
  for (const name of FIELDS) {
    const [low, high] = RANGES.includes(name) ? asked[name] : [asked[name], asked[name]];
    const least = name === "speedup" || name === "machines";
    if (!(low >= 0 && low <= high && high < Infinity) || (least && low === 0)) return null;
  }
  const busy = asked.images.map((count) => (count * asked.milliseconds) / 3_600_000);
  const days = 365 * asked.years;
  const hour = [0, 1].map((end) => asked.price[end] + (asked.watts[end] / 1000) * asked.power_price[end]);
  const saved = asked.speedup.map((one) => 1 - 1 / one);
  const dense = times(busy, hour, [days, days]);
  const kwh = times(busy, asked.watts.map((one) => one / 1000), [days, days]);
  const needed = [...asked.speedup].reverse().map((one) => Math.ceil(Number((asked.machines / one).toFixed(9))));
  const gone = [...needed].reverse().map((count) => asked.machines - count);
  return {
    busy_hours: busy,
    load: busy.map((hours) => (100 * hours) / (24 * asked.machines)),
    dense,
    pruned: times(dense, [...asked.speedup].reverse().map((one) => 1 / one)),
    saving: times(dense, saved),
    energy: times(kwh, saved),
    machines: needed,
    whole_machines: times(gone, asked.price, [24 * days, 24 * days]),
  };
}

const RESULTS = [
  ["busy_hours", "hours"], ["load", "percent"], ["dense", "money"], ["pruned", "money"], ["saving", "money"],
  ["energy", "kwh"], ["machines", "int"], ["whole_machines", "money"],
];

function field(name, end) {
  const value = current(name)[0];
  const id = `cost-${name}-${end}`;
  const box = make("input", { type: "number", id, min: 0, step: "any", inputmode: "decimal", "data-name": name, "data-end": end });
  box.value = tidy(RANGES.includes(name) ? value[end] : value);
  box.setAttribute("aria-label", [text(`costs.${name}`), RANGES.includes(name) ? text(end ? "costs.to" : "costs.from") : ""].filter(Boolean).join(" "));
  box.addEventListener("input", () => {
    const read = box.value === "" ? NaN : Number(box.value);
    if (RANGES.includes(name)) {
      const both = [...current(name)[0]];
      both[end] = read;
      inputs.values[name] = both;
    } else inputs.values[name] = read;
    inputs.touched.add(name);
    drawCosts();
    drawDecision();
  });
  return box;
}

const tidy = (value) => String(Number(value.toPrecision(4)));

function buildCosts() {
  chooseCurrency();
  const form = empty(byId("cost-form"));
  const currency = make("select", { id: "currency" }, ...Object.keys(DATA.calculator.defaults).map((code) =>
    make("option", { value: code }, new Intl.DisplayNames([state.language], { type: "currency" }).of(code))));
  currency.value = inputs.currency;
  currency.addEventListener("change", () => {
    Object.assign(inputs, { currency: currency.value, chosen: true });
    drawCosts();
    drawDecision();
  });
  form.append(make("div", { class: "row" }, make("label", { for: "currency" }, text("costs.currency")), make("div", { class: "boxes" }, currency)));
  for (const name of FIELDS) {
    const boxes = make("div", { class: "boxes" }, field(name, 0));
    if (RANGES.includes(name)) boxes.append(make("span", { class: "dash", "aria-hidden": "true" }, "–"), field(name, 1));
    const origin = make("small", { class: "origin", id: `origin-${name}` });
    form.append(make("div", { class: "row" }, make("label", { for: `cost-${name}-0` }, text(`costs.${name}`)), boxes, origin));
  }
  const reset = make("button", { type: "button", id: "reset" }, text("costs.reset"));
  reset.addEventListener("click", () => {
    inputs.touched.clear();
    drawCosts();
    drawDecision();
  });
  form.append(reset);
  form.onsubmit = (event) => event.preventDefault();
  const formulas = empty(byId("formulas"));
  for (const name of ["busy_hours", "load", "dense", "pruned", "saving", "energy", "machines_left", "whole_machines"]) {
    formulas.append(make("dt", {}, text(`costs.${name}`)), make("dd", {}, text(`formula.${name}`)));
  }
}

function drawCosts() {
  const found = costs();
  for (const name of FIELDS) {
    const [value, origin] = current(name);
    byId(`origin-${name}`).textContent = text(`costs.${origin}`);
    byId(`origin-${name}`).className = `origin ${origin}`;
    for (const box of document.querySelectorAll(`[data-name="${name}"]`)) {
      const held = RANGES.includes(name) ? value[Number(box.dataset.end)] : value;
      if (box !== document.activeElement && Number.isFinite(held)) box.value = tidy(held);
      const wrong = !(held >= 0) || (RANGES.includes(name) && !(value[0] <= value[1])) || (held === 0 && (name === "speedup" || name === "machines"));
      box.setAttribute("aria-invalid", wrong);
    }
  }
  const results = empty(byId("cost-results"));
  if (!found) return results.append(make("p", { class: "notice", role: "status" }, text("costs.wrong")));
  const one = (value, kind, of) => {
    if (kind === "hours" || kind === "kwh") return say(`unit.${kind}`, { value }, `${of}.`);
    return number(value, kind, of);
  };
  const rows = RESULTS.map(([name, kind]) => {
    const [low, high] = found[name];
    const cell = make("span", { class: "range" }, one(low, kind, `costs.${name}.0`));
    if (high - low > 1e-9 * Math.abs(high)) cell.append(state.language === "ja" ? "～" : " – ", one(high, kind, `costs.${name}.1`));
    return [text(`costs.${name === "machines" ? "machines_left" : name}`), cell];
  });
  results.append(table([text("costs.result"), text("costs.range")], rows, text("costs.title")));
  results.querySelectorAll("tbody tr")[4].className = "main";
  if (found.load[0] > 100) results.append(make("p", { class: "missing" }, text("costs.overload")));
  if (current("speedup")[1] === "default") results.append(make("p", { class: "missing" }, say("costs.no_gain")));
}

function drawRisks() {
  const body = empty(document.querySelector("#risks .body"));
  for (const risk of findings().risks) {
    const number = make("p", { class: risk.measured ? "number" : "number open" });
    if (!risk.measured) number.append(make("strong", { class: "tag" }, text("unmeasured")), " ");
    const kind = risk.measured ? "measured" : risk.values ? "unmeasured" : "none";
    number.append(say(`risk_${kind}.${risk.name}`, risk.values ?? {}, `risk.${risk.name}.`));
    body.append(make("article", { class: "risk-item" }, make("h3", {}, text(`risk_name.${risk.name}`)), make("p", {}, text(`risk_text.${risk.name}`)), number));
  }
}

function value(name) {
  if (name === "saving") return timing(point())?.speedup || inputs.touched.has("speedup") ? costs()?.saving ?? null : null;
  return findings().criteria[name];
}

// All of the interval has to meet the threshold, or all of it to miss it.
function judged(criterion) {
  const [found, limit] = [value(criterion.name), thresholds[criterion.name]];
  if (!found) return "unmeasured";
  if (!Number.isFinite(limit)) return "unset";
  const [low, high] = criterion.sense === "at most" ? found : [-found[1], -found[0]];
  const bound = criterion.sense === "at most" ? limit : -limit;
  if (high <= bound) return "go";
  return low > bound ? "no" : "open";
}

function buildDecision() {
  empty(byId("weeks")).append(...[1, 2, 3, 4].map((week) => make("li", {}, text(`week.${week}`))));
  const heads = ["week", "criterion", "value", "threshold", "verdict"].map((name) =>
    make("th", { scope: "col", role: "columnheader" }, text(`decision.${name}`)));
  const body = make("tbody", { role: "rowgroup" });
  for (const one of DATA.criteria) {
    const box = make("input", { type: "number", step: "any", id: `threshold-${one.name}`, "aria-label": `${text("decision.threshold")}: ${text(`criterion.${one.name}`)}` });
    if (Number.isFinite(thresholds[one.name])) box.value = thresholds[one.name];
    box.addEventListener("input", () => {
      thresholds[one.name] = box.value === "" ? NaN : Number(box.value);
      drawDecision();
    });
    const [before, after] = text(`sense.${one.sense}`).split("{input}");
    body.append(make("tr", { id: `criterion-${one.name}`, role: "row" }, // roles, since a phone lays the table out as blocks
     
      make("td", { role: "cell" }, String(one.week)), make("th", { scope: "row", role: "rowheader" }, text(`criterion.${one.name}`)),
      make("td", { class: "found", role: "cell" }), make("td", { class: "limit", role: "cell" }, before, box, after),
      make("td", { class: "judged", role: "cell" })));
  }
  empty(byId("criteria")).append(make("caption", { class: "visually-hidden" }, text("decision.title")), make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)), body);
}

function drawDecision() {
  const verdicts = DATA.criteria.map((one) => {
    const verdict = judged(one);
    const row = byId(`criterion-${one.name}`);
    const found = value(one.name);
    const cell = empty(row.querySelector(".found"));
    const kind = one.name === "images" ? "int" : one.name === "saving" ? "money" : "number";
    if (!found) cell.append("–"); // the verdict says why
    else if (found[0] === found[1]) cell.append(number(found[0], kind, `criteria.${one.name}.0`));
    else cell.append(number(found[0], kind, `criteria.${one.name}.0`), state.language === "ja" ? "～" : " – ", number(found[1], kind, `criteria.${one.name}.1`));
    const tag = make("span", { class: `tag ${verdict}` }, text(`verdict.${verdict}`));
    empty(row.querySelector(".judged")).append(tag);
    return verdict;
  });
  const count = (...kinds) => verdicts.filter((one) => kinds.includes(one)).length;
  const all = verdicts.length;
  const overall = count("no") ? ["no", count("no")] : count("go") === all ? ["go", all] : ["open", all - count("go")];
  const line = empty(byId("verdict"));
  line.className = `verdict ${overall[0]}`;
  line.append(say(`overall.${overall[0]}`, { count: overall[1], all }));
}

function drawPhrases() {
  const body = empty(document.querySelector("#phrases .body"));
  for (const phrase of findings().phrases) {
    const caveat = phrase.key.replace("phrase.", "caveat.");
    const quote = make("p", { class: "quote" }, say(phrase.key, phrase.values, "phrase."));
    const button = make("button", { type: "button", class: "copy" }, text("phrase.copy"));
    button.addEventListener("click", () => copy(quote.textContent, button));
    const note = make("p", { class: "caveat" }, make("strong", {}, text("phrase.caveat")), state.language === "ja" ? "：" : ": ", say(caveat, phrase.values, "phrase."));
    body.append(make("article", { class: "phrase" }, quote, note, button));
  }
}

// From a disk the clipboard's own interface may be closed; the old one is not.
function copy(said, button) {
  const box = make("textarea", { class: "visually-hidden", "aria-hidden": "true" }, said);
  document.body.append(box);
  box.select();
  document.execCommand("copy");
  box.remove();
  button.textContent = text("phrase.copied");
  button.focus();
}
