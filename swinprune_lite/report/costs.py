"""What a model costs to run, and what pruning saves: ranges, since prices and speeds are ranges.

The page computes the same in the browser as its reader types; the tests hold the two together.
"""

import math
from collections.abc import Mapping

HOURS, DAYS = 24, 365
MILLISECONDS = 3_600_000  # in an hour

Range = tuple[float, float]

DEFAULTS: dict[str, dict[str, list[float]]] = {
    "USD": {"price": [0.5, 1.5], "power_price": [0.1, 0.25]},
    "JPY": {"price": [80, 240], "power_price": [20, 35]},
}
"""Of an hour of a machine, and of a kWh, by currency. They are defaults, not quotations."""

COMMON = {"images": [1_000_000, 2_000_000], "machines": 4, "watts": [150, 300], "years": 3}
"""Images a day over all machines, machines that run now, watts of one at work, and years."""

UNMEASURED = {"milliseconds": 50.0, "speedup": [1.0, 1.0]}
"""Where nothing was timed: a time for one image, and no gain."""


def costs(asked: Mapping[str, object]) -> dict[str, Range]:
    """Costs over the years of the dense and of the pruned model, and what is saved.

    Busy hours a day are images times milliseconds / 3,600,000; an hour costs its price and watts / 1000 times the price
    of a kWh; a speed-up s leaves 1 / s of the busy hours. Machines that stand there anyway save only as whole ones,
    ceil(machines / s) of them staying.

    Args:
        asked: images (a day, all machines), price (of an hour), watts and power_price (of a kWh), each (low, high);
            speedup (low, high), over the dense model; milliseconds (dense, one image), machines and years.

    Returns:
        By name (low, high): busy_hours (dense, a day), load (percent of the machines' hours), dense and pruned (cost
        over the years), saving, energy (kWh saved over the years), machines (that are still needed at the same load),
        and whole_machines (saving where only whole machines count).

    Raises:
        ValueError: a number that is negative or not finite, a speed-up or count of machines of 0, or a range whose
            first number is the larger.
    """
    ranges = {name: tuple(asked[name]) for name in ("images", "price", "watts", "power_price", "speedup")}
    single = {name: asked[name] for name in ("milliseconds", "machines", "years")}
    for name, (low, high) in {**ranges, **{name: (value, value) for name, value in single.items()}}.items():
        least = name in ("speedup", "machines")
        if not (0 <= low <= high < math.inf) or (least and low == 0):
            raise ValueError(
                f"{name} must be finite, {'above 0' if least else '0 or more'}, the lower number first; "
                f"got {low!r} to {high!r}."
            )
    busy = tuple(count * single["milliseconds"] / MILLISECONDS for count in ranges["images"])
    days = DAYS * single["years"]
    hour = tuple(
        price + watts / 1000 * power
        for price, watts, power in zip(ranges["price"], ranges["watts"], ranges["power_price"])
    )
    saved = tuple(1 - 1 / speedup for speedup in ranges["speedup"])
    dense = _times(busy, hour, (days, days))
    kwh = _times(busy, tuple(watts / 1000 for watts in ranges["watts"]), (days, days))
    needed = tuple(math.ceil(round(single["machines"] / speedup, 9)) for speedup in reversed(ranges["speedup"]))
    gone = tuple(single["machines"] - count for count in reversed(needed))
    return {
        "busy_hours": busy,
        "load": tuple(100 * hours / (HOURS * single["machines"]) for hours in busy),
        "dense": dense,
        "pruned": _times(dense, tuple(1 / speedup for speedup in reversed(ranges["speedup"]))),
        "saving": _times(dense, saved),
        "energy": _times(kwh, saved),
        "machines": needed,
        "whole_machines": _times(gone, ranges["price"], (HOURS * days, HOURS * days)),
    }


def _times(*ranges: Range) -> Range:
    """The range of a product of ranges."""
    low = high = 1.0
    for first, last in ranges:
        corners = [low * first, low * last, high * first, high * last]
        low, high = min(corners), max(corners)
    return low, high
