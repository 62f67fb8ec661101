// The four figures that follow the slider.

function place(id) {
  const body = empty(document.querySelector(`#${id} .body`));
  return [body, Math.max(260, Math.floor(body.clientWidth))];
}

function drawAccuracy() {
  const [body, width] = place("figure-accuracy");
  const measured = group().series
    .map((one, index) => ({ one, index, points: one.points.filter((each) => each.top1) }))
    .filter((each) => each.points.length);
  if (!measured.length) return body.append(missing("accuracy.none"));
  const [top, right, bottom, left] = [12, 12, 44, 46];
  const height = Math.min(380, Math.max(260, width * 0.62));
  const all = measured.flatMap((each) => each.points);
  const dense = group().dense.top1;
  const values = all.flatMap((each) => [each.top1.percent - each.top1.half, each.top1.percent + each.top1.half]);
  if (dense) values.push(dense.percent);
  const low = Math.max(0, Math.floor((Math.min(...values) - 1) / 5) * 5);
  const high = Math.min(100, Math.ceil((Math.max(...values) + 1) / 5) * 5);
  const x = (share) => left + (share / 100) * (width - left - right);
  const y = (percent) => top + ((high - Math.min(high, Math.max(low, percent))) / (high - low)) * (height - top - bottom);
  const chosen = point();
  const svg = canvas(width, height, chosen.top1
    ? plain("accuracy.alt", { macs_removed: macsRemoved(chosen), top1: chosen.top1.percent, half: chosen.top1.half })
    : text("accuracy.alt_none"));
  for (const at of ticks(low, high, 5)) {
    svg.append(shape("line", { class: "grid", x1: left, x2: width - right, y1: y(at), y2: y(at) }));
    svg.append(label(left - 8, y(at) + 4, decimals(at, 0), { "text-anchor": "end", class: "axis" }));
  }
  for (const at of ticks(0, 100, 5)) svg.append(label(x(at), height - bottom + 18, decimals(at, 0), { "text-anchor": "middle", class: "axis" }));
  svg.append(label((left + width - right) / 2, height - 6, text("accuracy.x"), { "text-anchor": "middle" }));
  svg.append(label(-(top + height - bottom) / 2, 13, text("accuracy.y"), { "text-anchor": "middle", transform: "rotate(-90)" }));
  if (dense) svg.append(shape("line", { class: "dense-line", x1: left, x2: width - right, y1: y(dense.percent), y2: y(dense.percent) }));
  const cursor = x(macsRemoved(chosen));
  svg.append(shape("line", { class: "cursor", x1: cursor, x2: cursor, y1: top, y2: height - bottom, "data-value": macsRemoved(chosen) }));
  measured.sort((one, other) => (one.index === state.series) - (other.index === state.series)); // the chosen one on top
  for (const each of measured) {
    const own = each.index === state.series;
    const layer = shape("g", { class: own ? "curve own" : "curve", style: `--own: ${colour(each.index)}` });
    layer.append(shape("polyline", { points: each.points.map((one) => `${x(macsRemoved(one))},${y(one.top1.percent)}`).join(" ") }));
    for (const one of each.points) {
      const [at, value, half] = [x(macsRemoved(one)), one.top1.percent, one.top1.half];
      if (own) layer.append(shape("line", { class: "error", x1: at, x2: at, y1: y(value - half), y2: y(value + half) }));
      layer.append(mark(each.index, at, y(value), own ? 4.5 : 3, {}));
    }
    svg.append(layer);
  }
  if (chosen.top1) svg.append(shape("circle", { class: "ring", cx: cursor, cy: y(chosen.top1.percent), r: 9, "data-value": chosen.top1.percent, "data-of": "top1.percent" }));
  const legend = make("ul", { class: "legend" });
  for (const each of measured.sort((one, other) => one.index - other.index)) {
    const key = canvas(26, 14, "");
    key.setAttribute("aria-hidden", "true");
    key.removeAttribute("role");
    key.append(shape("line", { x1: 1, x2: 25, y1: 7, y2: 7, stroke: colour(each.index), "stroke-width": 2 }));
    key.append(mark(each.index, 13, 7, 4, { fill: colour(each.index), stroke: colour(each.index), "stroke-width": 1.5 }));
    legend.append(make("li", { class: each.index === state.series ? "own" : null }, key, seriesName(each.one)));
  }
  if (dense) {
    const key = canvas(26, 14, "");
    key.setAttribute("aria-hidden", "true");
    key.removeAttribute("role");
    key.append(shape("line", { class: "dense-line", x1: 1, x2: 25, y1: 7, y2: 7 }));
    legend.append(make("li", {}, key, text("accuracy.dense")));
  }
  const read = make("p", { class: "read" }, make("strong", {}, text("accuracy.chosen")), " ");
  if (chosen.top1) {
    read.append(text("accuracy.top1"), " ", say("percent_half", chosen.top1, "top1."));
    if (chosen.top5) read.append(" · ", text("accuracy.top5"), " ", say("percent_half", chosen.top5, "top5."));
    if (chosen.difference) read.append(" · ", text("accuracy.change"), " ", say("points", { value: chosen.difference.points, half: chosen.difference.half }, "difference."));
  } else read.append(text("unmeasured"));
  const rows = measured.flatMap((each) => each.points.map((one) => [
    seriesName(each.one), ratioSaid(one), FORMATS.percent(macsRemoved(one)), plain("percent_half", one.top1),
    one.difference ? plain("points", { value: one.difference.points, half: one.difference.half }) : text("unmeasured"),
  ]));
  const heads = ["accuracy.series", "pick.ratio", "accuracy.removed", "accuracy.top1", "accuracy.change"].map(text);
  body.append(svg, legend, read, folded("accuracy", table(heads, rows, text("accuracy.title")), text("accuracy.title")));
}

const stageName = (row) => plain("cut.stage", { stage: String(row.stage) });
const moduleName = (row) => (hasText(`module.${row.module}`) ? text(`module.${row.module}`) : row.module);

function drawCut() {
  const [body, width] = place("figure-cut");
  const rows = point().stages;
  if (!rows) return body.append(missing("cut.none"));
  const other = { macs: group().dense.macs, kept_macs: point().macs };
  for (const row of rows) {
    other.macs -= row.macs;
    other.kept_macs -= row.kept_macs;
  }
  const names = rows.map((row) => moduleName(row));
  const left = Math.min(width * 0.42, Math.max(...names.map(widthOf)) + 12);
  const right = 58;
  const most = Math.max(...rows.map((row) => row.macs), other.macs);
  const x = (count) => (count / most) * (width - left - right);
  const lost = rows.reduce((one, row) => (row.macs - row.kept_macs > one.macs - one.kept_macs ? row : one));
  const alt = plain("cut.alt", { macs: group().dense.macs, kept: point().macs, stage: String(lost.stage), module: moduleName(lost), share: 100 * (1 - lost.kept_macs / lost.macs) });
  const layer = shape("g", {});
  let at = 4;
  let stage = null;
  const bar = (row, name) => {
    layer.append(label(left - 8, at + 13, shortened(name, left - 10), { "text-anchor": "end" }));
    layer.append(shape("rect", { class: "gone", x: left, y: at + 2, width: Math.max(0, x(row.macs)), height: 14 }));
    layer.append(shape("rect", { class: "kept", x: left, y: at + 2, width: Math.max(0, x(row.kept_macs)), height: 14 }));
    const share = (100 * row.kept_macs) / row.macs;
    layer.append(label(left + Math.max(0, x(row.macs)) + 6, at + 13, FORMATS.percent(share), { "data-value": share, class: "share" }));
    at += 20;
  };
  for (const row of rows) {
    if (row.stage !== stage) {
      stage = row.stage;
      at += 4;
      layer.append(label(0, at + 11, stageName(row), { class: "stage" }));
      at += 18;
    }
    bar(row, moduleName(row));
  }
  if (other.macs > 0) {
    at += 6;
    layer.append(label(0, at + 11, shortened(text("cut.other"), width), { class: "stage" }));
    at += 18;
    bar(other, "");
  }
  const svg = canvas(width, at + 6, alt);
  svg.append(layer);
  const legend = make("ul", { class: "legend" });
  for (const kind of ["kept", "gone"]) legend.append(make("li", {}, make("span", { class: `swatch ${kind}` }), text(`cut.${kind}`)));
  const shares = rows.map((row) => [
    `${stageName(row)} · ${moduleName(row)}`,
    `${FORMATS.int(row.kept)} / ${FORMATS.int(row.weights)}`,
    `${FORMATS.int(row.kept_macs)} / ${FORMATS.int(row.macs)}`,
    FORMATS.percent((100 * row.kept_macs) / row.macs),
  ]);
  const heads = ["cut.stage_head", "cut.weights", "cut.macs", "cut.share"].map(text);
  body.append(svg, legend, folded("cut", table(heads, shares, text("cut.title")), text("cut.title")));
}

// Quantity, dense and pruned value, format, and where it stands in the record.
function quantities() {
  const [cut, dense] = [point(), group().dense];
  const [after, before] = [timing(cut) ?? {}, timing(dense) ?? {}];
  return [
    ["parameters", dense.parameters, cut.parameters, "int", "parameters"],
    ["macs", dense.macs, cut.macs, "int", "macs"],
    ["file", dense.file_bytes, cut.file_bytes, "bytes", "file_bytes"],
    ["p50", before.p50_ms, after.p50_ms, "ms", "p50_ms"],
    ["p95", before.p95_ms, after.p95_ms, "ms", "p95_ms"],
    ["rate", before.images_per_second, after.images_per_second, "ms", "images_per_second"],
    ["memory", before.peak_memory_bytes, after.peak_memory_bytes, "bytes", "peak_memory_bytes"],
    ["energy", before.joules_per_image, after.joules_per_image, "ms", "joules_per_image"],
  ].map(([name, ...rest]) => [name, ...rest.map((value) => value ?? null)]);
}

function drawSize() {
  const [body] = place("figure-size");
  const known = quantities().filter(([, , after]) => after !== null);
  const unit = { p50: "unit.ms", p95: "unit.ms", energy: "unit.joules" };
  const value = (name, one, kind, of) => {
    if (one === null) return text("unmeasured");
    return unit[name] ? say(unit[name], { value: one }, of) : number(one, kind, of);
  };
  const rows = known.map(([name, before, after, kind, of]) => {
    const share = before ? (100 * after) / before : null;
    const bar = share === null ? text("unmeasured") : make("div", { class: "bar" });
    if (share !== null) {
      bar.append(make("span", { class: "track", "aria-hidden": "true" }, make("span", { class: "fill", style: `width:${Math.min(100, share)}%` })));
      bar.append(number(share, "percent", `${of}.share`));
    }
    return [text(`size.${name}`), value(name, before, kind, `dense.${of}`), value(name, after, kind, of), bar];
  });
  const heads = ["size.what", "dense", "pruned", "size.share"].map(text);
  body.append(make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": text("size.title") }, table(heads, rows, text("size.title"))));
  const speed = timing(point())?.speedup;
  if (speed) {
    const line = make("p", { class: "read" }, make("strong", {}, text("size.speedup")), " ", say("size.speedup_value", speed, "speedup."));
    if (timing(point()).theory) line.append(" · ", say("size.theory", { theory: timing(point()).theory }));
    body.append(line);
  }
  const gone = quantities().filter(([, , after]) => after === null).map(([name]) => text(`size.${name}`));
  if (!speed) gone.push(text("size.speedup"));
  if (gone.length) {
    const list = new Intl.ListFormat(state.language, { type: "conjunction" }).format(gone);
    body.append(make("p", { class: "missing" }, say("size.missing", { missing: list }), " ", say("size.missing_how")));
  }
}

function drawClasses() {
  const [body, width] = place("figure-classes");
  const [cut, dense] = [point(), group().dense];
  const known = (cut.class_differences ?? [])
    .map((change, index) => ({ change, index, name: className(group().classes[index]) }))
    .filter((each) => each.change.half !== null)
    .sort((one, other) => one.change.points - other.change.points);
  if (!known.length) return body.append(missing("classes.none"));
  const worst = known.slice(0, 8);
  const left = Math.min(width * 0.42, Math.max(...worst.map((each) => widthOf(each.name))) + 12);
  const right = 52;
  const recall = (each) => cut.recalls[each.index].percent;
  const before = (each) => recall(each) - each.change.points; // of the same sets of weights as after
  const ends = worst.flatMap((each) => [recall(each), before(each)]);
  const low = Math.max(0, Math.floor(Math.min(...ends) / 10) * 10 - 5);
  const high = Math.min(105, Math.ceil(Math.max(...ends) / 10) * 10 + 5);
  const x = (percent) => left + ((percent - low) / (high - low)) * (width - left - right);
  const row = 24;
  const axis = worst.length * row + 8;
  const strip = axis + 58;
  const tall = 76;
  const about = findings().sentences.risk.values;
  const all = findings().risks.find((each) => each.name === "rare").values ?? about;
  const svg = canvas(width, strip + tall + 24, plain("classes.alt", all));
  for (const at of ticks(Math.max(0, low), Math.min(100, high), 6)) {
    svg.append(shape("line", { class: "grid", x1: x(at), x2: x(at), y1: 0, y2: axis }));
    svg.append(label(x(at), axis + 16, decimals(at, 0), { "text-anchor": "middle", class: "axis" }));
  }
  svg.append(label((left + width - right) / 2, axis + 33, text("classes.axis"), { "text-anchor": "middle" }));
  worst.forEach((each, at) => {
    const y = at * row + 14;
    svg.append(label(left - 8, y + 4, shortened(each.name, left - 10), { "text-anchor": "end" }));
    svg.append(shape("line", { class: "move", x1: x(before(each)), x2: x(recall(each)), y1: y, y2: y }));
    svg.append(shape("circle", { class: "was", cx: x(before(each)), cy: y, r: 5 }));
    svg.append(shape("circle", { class: "is", cx: x(recall(each)), cy: y, r: 5 }));
    svg.append(label(width - 2, y + 4, FORMATS.change_of(each.change.points), { "text-anchor": "end", "data-value": each.change.points, "data-of": `class_differences.${each.index}.points`, class: "share" }));
  });
  const extremes = known.map((each) => each.change.points);
  const [least, most] = [Math.min(0, ...extremes), Math.max(0, ...extremes)];
  const y = (value) => strip + ((most - value) / (most - least || 1)) * tall;
  const start = 46;
  const step = (width - start - 4) / known.length;
  const bars = shape("g", {});
  known.forEach((each, at) => {
    const value = each.change.points;
    const sure = Math.abs(value) > each.change.half;
    bars.append(shape("rect", { class: sure ? "change sure" : "change", x: start + at * step, width: Math.max(1, step - 1), y: y(Math.max(0, value)), height: Math.max(0.5, Math.abs(y(value) - y(0))) }));
  });
  svg.append(label(0, strip - 12, text("classes.axis_change")));
  for (const at of [...new Set([least, 0, most])]) svg.append(label(start - 6, y(at) + 4, FORMATS.change_of(at), { "text-anchor": "end", class: "axis" }));
  svg.append(shape("line", { class: "grid", x1: start, x2: width, y1: y(0), y2: y(0) }), bars);
  const rows = known.map((each) => [
    each.name, FORMATS.int(cut.recalls[each.index].images), FORMATS.percent(before(each)), FORMATS.percent(recall(each)),
    plain("points", { value: each.change.points, half: each.change.half }),
  ]);
  const heads = [text("classes.name"), text("classes.images"), text("dense"), text("pruned"), text("classes.change")];
  body.append(svg, make("p", { class: "read" }, say("classes.chance", all)), folded("classes", table(heads, rows, text("classes.title")), text("classes.title")));
}
