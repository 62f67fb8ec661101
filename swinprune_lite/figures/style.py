"""One look for every figure: Okabe and Ito's colours, which the colour-blind can tell apart, on white, as vectors.

A figure is `WIDTH` wide and its smallest letters are 10 points high: 9 pixels on a phone of 390.
"""

import seaborn as sns

from swinprune_lite.anatomy.units import FC2, KINDS
from swinprune_lite.paper.numbers import counterpart

WIDTH = 5.2
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
    "module-magnitude": {"label": "magnitude per module", "color": "#009E73", "marker": "v", "linestyle": "-."},
    "global": {"label": "magnitude, whole model", "color": "#000000", "marker": "X", "linestyle": "-."},
    "random": {"label": "random", "color": "#999999", "marker": ".", "linestyle": ":"},
}
PRODUCTS = {"products": "#56B4E9"}  # of query by key, and attention by value
COMPONENT_COLOURS = {"fc": MODULE_COLOURS["MLP-M"], "att": MODULE_COLOURS["QKV-M"], "conv": MODULE_COLOURS["AUX-M"]}
LINE = "#555555"  # of references: dense accuracy, stage boundaries, thresholds


MODEL_NAMES = {
    "swin_lite_tiny": "Lite-T",
    "swin_lite_small": "Lite-S",
    "swin_lite_base": "Lite-B",
    "swin_lite_micro": "Lite-micro",
    "swinv2_lite_micro": "Swin V2 micro",
    "pvt_v2_lite_micro": "PVT v2 micro",
    "swin_surfaces_64": "surfaces, 64 px",
    "swin_garments_64": "garments, 64 px",
    "dinov2_vits14": "DINOv2 ViT-S/14",
}
"""What figures and pages call the models that code calls otherwise; size letters as the paper's."""


def short_name(model: str) -> str:
    """What a figure calls a model: one of this project's by `MODEL_NAMES`, the paper's by the paper's."""
    return MODEL_NAMES.get(model) or counterpart(model).rpartition("/")[2]


def set_style() -> None:
    """Vector graphics in notebooks, seaborn's white grid."""
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    set_matplotlib_formats("svg")
    sns.set_theme(
        context="notebook",
        style="whitegrid",
        rc={
            "figure.facecolor": "white",
            "svg.hashsalt": "swinprune",
            "axes.titlesize": 11.5,
            "axes.labelsize": 11,
            "legend.fontsize": 10,
            "legend.title_fontsize": 10.5,
            "legend.frameon": True,
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
        },
    )
