"""One look for every figure: Okabe and Ito's colours, which the colour-blind can tell apart, on white, as vectors.

A figure is at most 7 inches wide, so that its text can be read on a phone.
"""

import seaborn as sns

from swinprune_lite.anatomy.units import FC2, KINDS
from swinprune_lite.paper.numbers import LITE_COUNTERPARTS, counterpart

WIDTH = 7.0
MODULE_COLOURS = {"QKV-M": "#0072B2", "PRJ-M": "#E69F00", "MLP-M": "#009E73", "AUX-M": "#999999"}
LAYER_STYLES = {
    kind.label: {"color": MODULE_COLOURS[kind.module], "linestyle": "--" if kind is FC2 else "-"} for kind in KINDS
}
METHOD_STYLES = {
    "dimap": {"label": "DIMAP", "color": "#0072B2", "marker": "o", "linestyle": "-", "zorder": 3},
    "lamp": {"label": "LAMP", "color": "#56B4E9", "marker": "^", "linestyle": "-"},
    "uniform": {"label": "uniform", "color": "#D55E00", "marker": "s", "linestyle": "--", "zorder": 3},
    "uniform+": {"label": "Uniform+", "color": "#E69F00", "marker": "P", "linestyle": "--"},
    "erk": {"label": "ERK", "color": "#CC79A7", "marker": "D", "linestyle": "--"},
    "module-magnitude": {"label": "magnitude, a module", "color": "#009E73", "marker": "v", "linestyle": "-."},
    "global": {"label": "magnitude, the model", "color": "#000000", "marker": "X", "linestyle": "-."},
    "random": {"label": "random", "color": "#999999", "marker": ".", "linestyle": ":"},
}
PRODUCTS = {"products": "#56B4E9"}  # of query by key, and attention by value
COMPONENT_COLOURS = {"fc": MODULE_COLOURS["MLP-M"], "att": MODULE_COLOURS["QKV-M"], "conv": MODULE_COLOURS["AUX-M"]}
LINE = "#555555"  # of references: dense accuracy, stage boundaries, thresholds


def short_name(model: str) -> str:
    """What a figure calls a model: a lite model by its own name, the paper's by the paper's."""
    return model if model in LITE_COUNTERPARTS else counterpart(model).rpartition("/")[2]


def set_style() -> None:
    """Vector graphics in notebooks, seaborn's white grid."""
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    set_matplotlib_formats("svg")
    sns.set_theme(
        context="notebook",
        style="whitegrid",
        rc={"figure.facecolor": "white", "svg.hashsalt": "swinprune", "legend.frameon": True, "axes.titlesize": 12},
    )
