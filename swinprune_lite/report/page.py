"""All that the page shows, as one dictionary: computed here from records, embedded in the page as JSON."""

from collections.abc import Sequence

from swinprune_lite.report.costs import COMMON, DEFAULTS, UNMEASURED
from swinprune_lite.report.findings import BEARABLE, CRITERIA, findings
from swinprune_lite.report.joining import joined
from swinprune_lite.report.reading import sources

REPORT = 1
"""Of the embedded data; to be increased when a key changes its meaning."""


def page_data(records: Sequence[dict], names: Sequence[str] = ()) -> dict:
    """What a report shows of the records of commands.

    Args:
        records: of `prune`, `evaluate`, `bench` and `finetune`, as `--json` gives them, of one dense model; those of
            `inspect` and `export` are listed.
        names: of the records, for messages and for the list of sources; empty: they are numbered.

    Returns:
        report (the version of this), groups (see `shape`; every point has "findings", a list like the group's places,
        or of one where there are none), bearable (points), criteria, calculator and sources.

    Raises:
        ValueError: no records, damaged ones, ones of another version or command, or ones that do not fit each other.
    """
    names = list(names) or [f"record {number}" for number in range(1, len(records) + 1)]
    return finished([joined(records, names)], sources(records, names))


def finished(groups: list[dict], listed: list[dict]) -> dict:
    """Groups with what is said of each point, and all else that the page needs.

    Args:
        groups: of `shape`; they are changed in place.
        listed: the sources, a row a file: file, command, date and versions.
    """
    for group in groups:
        for series in group["series"]:
            for point in series["points"]:
                places = range(len(group["places"])) if group["places"] else [None]
                point["findings"] = [findings(group, series, point, place) for place in places]
        group["start"] = _start(group)
    return {
        "report": REPORT,
        "groups": groups,
        "bearable": BEARABLE,
        "criteria": [
            {"name": name, "week": week, "sense": sense, "threshold": threshold, "unit": unit}
            for name, (week, sense, threshold, unit) in CRITERIA.items()
        ],
        "calculator": {"defaults": DEFAULTS, "common": COMMON, "unmeasured": UNMEASURED},
        "sources": listed,
    }


def _start(group: dict) -> dict:
    """Where the page opens: the largest cut of MACs whose loss is bearable with all of its interval, else the smallest
    loss, else the smallest cut."""

    def order(at: tuple[int, int]) -> tuple:
        point = group["series"][at[0]]["points"][at[1]]
        loss = point["difference"]
        if loss is None:
            return 2, -point["macs"]
        bearable = -loss["points"] + loss["half"] <= BEARABLE
        return (0, point["macs"]) if bearable else (1, -loss["points"])

    places = [(one, two) for one, series in enumerate(group["series"]) for two in range(len(series["points"]))]
    series, point = min(places, key=order)
    return {"series": series, "point": point, "why": ("bearable", "least", "smallest")[order((series, point))[0]]}
