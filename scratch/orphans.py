"""Drop from results/ the records of lite base that no study asks for any more; run at the root of the checkout."""
import json
from pathlib import Path
from swinprune_lite.measurements.store import question, _digest
from swinprune_lite.studies.reproduction import measurements
asked = {(p.name, json.dumps(s.told(), sort_keys=True)) for p, s in measurements() if s.model == "swin_lite_base"}
wanted = {question(p, s) for p, s in measurements() if s.model == "swin_lite_base"}
from swinprune_lite.measurements.store import Store
path = Path("results/swin_lite_base.jsonl")
store = Store(Path("results"))
keep = []
lines = path.read_text().splitlines(keepends=True)
from swinprune_lite.measurements import store as st
kept_records = {q: r for q, r in st._records(path).items() if q in wanted}
path.write_text("".join(json.dumps(each) + "\n" for each in sorted(kept_records.values(), key=st._order)))
print(len(lines), "->", len(kept_records))
