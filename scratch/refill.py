"""refill.py [-w] [page ...]: fill the printed numbers of all statements anew; run at the root of the checkout."""
import sys, re, json
sys.path[:0] = ["tests", "book", "data_scripts", "tests/contracts", "."]
import numpy as np
import test_statements as t
from prose import PAGES, NUMERAL, WORDS, KANJI, SCALES
write = "-w" in sys.argv
only = [a for a in sys.argv[1:] if a != "-w"]
BACK = {v: k for k, v in reversed(WORDS.items())}
def fmt(old, value):
    if t.agree(old, value): return old
    if old.lower() in WORDS:
        new = BACK.get(round(value), str(round(value)))
        return new.capitalize() if old[0].isupper() else new
    if old in KANJI:
        back = {v: k for k, v in KANJI.items()}
        return back.get(round(value), str(round(value)))
    for name, scale in SCALES.items():
        if old.endswith(name): return fmt(old.removesuffix(name), value / scale) + name
    body = old.lstrip("±")
    pre = old[: len(old) - len(body)]
    places = len(body.partition(".")[2])
    new = f"{value:,.{places}f}" if "," in body or abs(value) >= 10000 else f"{value:.{places}f}"
    if float(new.replace(",", "")) == 0: new = new.lstrip("-")
    if body[0] == "+" and not new.startswith("-"): new = "+" + new
    if body[0] == "−": new = new.replace("-", "−")
    return pre + new
def tolerant(says):
    parts = []
    for part in says.split("{}"):
        e = re.escape(part)
        e = re.sub(r"(\\ )+", r"(?:[\\s*`]|\\|)+", e)
        parts.append(e)
    return re.compile(rf"({NUMERAL})".join(parts), re.I)
def fill(text, pat, values):
    n = 0
    def rep(m):
        nonlocal n
        n += 1
        out, last = "", m.start()
        for i, v in enumerate(values):
            out += text[last:m.start(i + 1)] + fmt(m[i + 1], v); last = m.end(i + 1)
        return out + text[last:m.end()]
    return pat.sub(rep, text), n
for s in t.STATEMENTS:
    if only and s.page not in only: continue
    found = [(p, m) for p in PAGES for m in t.places(s, p)]
    label = f"{s.page}: {s.says[:90]!r}"
    if not found: print("NOT ON A PAGE", label); continue
    try: values = list(s.values())
    except Exception as e: print("ERROR", type(e).__name__, str(e)[:150], label); continue
    held = [v for v in values if isinstance(v, (bool, np.bool_))]
    numbers = [v for v in values if not isinstance(v, (bool, np.bool_))]
    if not all(held): print("DOES NOT HOLD", values, label)
    bad = [(p, m) for p, m in found if len(m.groups()) != len(numbers) or not all(map(t.agree, m.groups(), numbers))]
    if not bad: continue
    for page, m in bad:
        if len(m.groups()) != len(numbers): print("COUNT", numbers, m.groups(), label); continue
        path, pat, n = PAGES[page], tolerant(s.says), 0
        if path.suffix == ".ipynb":
            nb = json.loads(path.read_text())
            for c in nb["cells"]:
                if c["cell_type"] == "markdown":
                    new, k = fill("".join(c["source"]), pat, numbers); n += k
                    if k: c["source"] = new.splitlines(keepends=True)
                else:
                    for kind in c["metadata"].get("mystnb", {}).values():
                        if isinstance(kind, dict):
                            for key in ("caption", "alt"):
                                if key in kind: kind[key], k = fill(kind[key], pat, numbers); n += k
            text = json.dumps(nb, indent=1, ensure_ascii=False) + "\n"
        else:
            text, n = fill(path.read_text(), pat, numbers)
        print("FILLED" if n else "NOT FOUND IN SOURCE", page, m[0][:160], "->", [round(float(v), 3) for v in numbers])
        if n and write: path.write_text(text)
