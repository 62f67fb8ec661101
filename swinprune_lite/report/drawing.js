// Drawing: SVG in the pixels of its place, so that text keeps its size on a phone, and a table beside each picture.

const SVG = "http://www.w3.org/2000/svg";
const FONT = 12;

function shape(name, attributes, label) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(key, value);
  if (label !== undefined) element.textContent = label;
  return element;
}

function canvas(width, height, label) {
  return shape("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
}

function label(x, y, said, more = {}) {
  return shape("text", { x, y, "font-size": FONT, ...more }, said);
}

// Width of a text as it would be drawn.
const ruler = document.createElement("canvas").getContext("2d");
function widthOf(said) {
  ruler.font = `${FONT}px ${getComputedStyle(document.body).fontFamily}`;
  return ruler.measureText(said).width;
}

function shortened(said, width) {
  if (widthOf(said) <= width) return said;
  let kept = said;
  while (kept.length > 1 && widthOf(`${kept}…`) > width) kept = kept.slice(0, -1);
  return `${kept}…`;
}

// Round steps of an axis, about as many as asked.
function ticks(low, high, count) {
  const raw = (high - low) / count;
  const scale = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * scale).find((one) => one >= raw);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + 1e-9; at += step) found.push(Math.abs(at) < 1e-9 ? 0 : at);
  return found;
}

// Marks that differ in form as well as in colour.
const MARKS = [
  (x, y, r) => `M${x - r},${y}a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0`,
  (x, y, r) => `M${x - r},${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
  (x, y, r) => `M${x},${y - 1.3 * r}l${1.3 * r},${1.3 * r}l${-1.3 * r},${1.3 * r}l${-1.3 * r},${-1.3 * r}z`,
  (x, y, r) => `M${x},${y - 1.2 * r}l${1.2 * r},${2.2 * r}h${-2.4 * r}z`,
  (x, y, r) => `M${x},${y + 1.2 * r}l${1.2 * r},${-2.2 * r}h${-2.4 * r}z`,
  (x, y, r) => `M${x - r},${y - r}l${2 * r},${2 * r}M${x - r},${y + r}l${2 * r},${-2 * r}`,
  (x, y, r) => `M${x - 1.2 * r},${y}h${2.4 * r}M${x},${y - 1.2 * r}v${2.4 * r}`,
  (x, y, r) => `M${x - 1.4 * r},${y}l${0.7 * r},${-1.2 * r}h${1.4 * r}l${0.7 * r},${1.2 * r}l${-0.7 * r},${1.2 * r}h${-1.4 * r}z`,
];

const mark = (number, x, y, r, more) => shape("path", { d: MARKS[number % MARKS.length](x, y, r), ...more });
const colour = (number) => `var(--series-${number % MARKS.length})`;

// rows: lists of texts, elements or fragments; the first column names its row.
function table(heads, rows, caption) {
  const body = rows.map((row) =>
    make("tr", {}, ...row.map((cell, column) => make(column ? "td" : "th", column ? {} : { scope: "row" }, cell ?? text("unmeasured")))),
  );
  const head = make("tr", {}, ...heads.map((said) => make("th", { scope: "col" }, said)));
  return make("table", {}, make("caption", { class: "visually-hidden" }, caption), make("thead", {}, head), make("tbody", {}, ...body));
}

// A figure's table, folded; it stays open when the figure is drawn anew.
const opened = new Set();
function folded(name, made, caption) {
  const details = make("details", { open: opened.has(name) ? "" : null }, make("summary", {}, text("as_table")));
  details.append(make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, made));
  details.addEventListener("toggle", () => (details.open ? opened.add(name) : opened.delete(name)));
  return details;
}

const missing = (key) => make("p", { class: "missing" }, say(key));
