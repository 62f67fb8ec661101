// Words and numbers: a text by key in the page's language, with each number in an element that holds its exact value.

const DATA = JSON.parse(document.getElementById("data").textContent);
const TEXTS = JSON.parse(document.getElementById("texts").textContent);
const state = { language: "", theme: "auto", group: 0, series: 0, point: 0, place: 0 };

function text(key) {
  const found = TEXTS[state.language][key];
  if (found === undefined) throw new Error(`No text ${key}`);
  return found;
}

const hasText = (key) => TEXTS[state.language][key] !== undefined;

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

function decimals(value, digits) {
  const clean = Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value; // no minus before a zero
  return new Intl.NumberFormat(state.language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(clean);
}

function significant(value, digits = 3) {
  return new Intl.NumberFormat(state.language, { maximumSignificantDigits: digits }).format(value);
}

// Points of accuracy: two decimals below one, else one.
const points = (value) => decimals(value, Math.abs(value) < 0.995 ? 2 : 1);
const minus = (said) => said.replace("-", "−");
const percentSign = () => (state.language === "ja" ? "%" : " %");

function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (value >= 999.5 && step < units.length - 1) {
    value /= 1000;
    step += 1;
  }
  return `${significant(value)} ${units[step]}`;
}

const FORMATS = {
  percent: (value) => decimals(value, 1) + percentSign(),
  points: (value) => minus(points(value)),
  signed: (value) => minus(points(value)),
  number: (value) => minus(Math.abs(value) >= 100 ? decimals(value, 0) : points(value)),
  change: (value) => (-value > 0 ? "+" : "") + minus(points(-value)),
  change_of: (value) => (value > 0 ? "+" : "") + minus(points(value)),
  change_of_loss: (value) => minus(points(value)),
  int: (value) => decimals(value, 0),
  count: (value) =>
    new Intl.NumberFormat(state.language, { notation: "compact", maximumSignificantDigits: 3 }).format(value),
  times: (value) => decimals(value, 2),
  ms: (value) => significant(value),
  amount: (value) => minus(significant(value)),
  bytes,
  money: (value) =>
    minus(new Intl.NumberFormat(state.language, { style: "currency", currency: inputs.currency, minimumFractionDigits: 0,
      maximumSignificantDigits: 3 }).format(Math.abs(value) < 0.005 ? 0 : value)),
};

function className(name) {
  if (!group().lite) return name;
  const parts = name.split(" + ");
  if (!parts.every((part) => hasText(`garment.${part}`))) return name;
  return parts.map((part) => text(`garment.${part}`)).join(state.language === "ja" ? "＋" : " + ");
}

function criteriaNames(names) {
  const found = names.map((name) => text(`missing.${name}`));
  return new Intl.ListFormat(state.language, { type: "conjunction" }).format(found);
}

function shown(value, kind) {
  if (kind === "class") return className(value);
  if (kind === "criteria") return criteriaNames(value);
  return kind ? FORMATS[kind](value) : String(value);
}

// A number as an element: its exact value, and which value of the record it is.
function number(value, kind, of) {
  return make("data", { value, "data-kind": kind, "data-of": of }, shown(value, kind));
}

function pieces(key, values) {
  return text(key).split(/(\{[^}]*\}|`[^`]*`)/).filter(Boolean).map((part) => {
    if (part[0] === "`") return { code: part.slice(1, -1) };
    if (part[0] !== "{") return { plain: part };
    const [name, kind] = part.slice(1, -1).split("|");
    if (values[name] === undefined || values[name] === null) throw new Error(`No ${name} for ${key}`);
    return { name, kind, value: values[name] };
  });
}

function say(key, values = {}, of = "") {
  const fragment = document.createDocumentFragment();
  for (const part of pieces(key, values)) {
    if (part.code) fragment.append(make("code", { translate: "no" }, part.code));
    else if (part.plain) fragment.append(part.plain);
    else if (typeof part.value === "number") fragment.append(number(part.value, part.kind, `${of}${part.name}`));
    else fragment.append(make("span", { class: part.kind ? null : "given", translate: "no" }, shown(part.value, part.kind)));
  }
  return fragment;
}

const plain = (key, values = {}) =>
  pieces(key, values).map((part) => part.code ?? part.plain ?? shown(part.value, part.kind)).join("");

const group = () => DATA.groups[state.group];
const series = () => group().series[state.series];
const point = () => series().points[state.point];
const findings = () => point().findings[group().places.length ? state.place : 0];
const timing = (one) => one.timings?.[state.place] ?? null;

function seriesName(one) {
  const cuts = one.method.includes(" → ") ? one.method.split(" → ") : [one.structured ? "structured" : one.method];
  const parts = [cuts.map((cut) => (hasText(`series.${cut}`) ? text(`series.${cut}`) : cut)).join(" → ")];
  if (one.repair) parts.push(text("series.repaired"));
  if (one.calibration) parts.push(plain("series.calibrated", { images: one.calibration }));
  if (one.steps) parts.push(plain("series.tuned_steps", { steps: one.steps }));
  else if (one.epochs) parts.push(one.epochs === 1 ? text("series.tuned_one") : plain("series.tuned", { epochs: one.epochs }));
  return parts.join(state.language === "ja" ? "・" : ", ");
}

const ratioSaid = (one) => plain(`ratio.${one.of}`, { ratio: 100 * one.ratio });
const macsRemoved = (one) => 100 * (1 - one.macs / group().dense.macs);
const empty = (element) => (element.replaceChildren(), element);
const byId = (id) => document.getElementById(id);
