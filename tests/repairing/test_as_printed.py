"""The chapter prints both estimates in a few lines: they must be the library's."""

import re

import nbformat
import pytest
import torch
from prose import ROOT

from swinprune_lite.repairing.head import PULL, refitted
from swinprune_lite.repairing.rules import RULES, Layer
from swinprune_lite.types import InputMoments


@pytest.fixture(scope="module")
def printed():
    """The functions that the chapter prints."""
    cells = nbformat.read(ROOT / "notebooks/beyond_better_rule.ipynb", 4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    names = {"torch": torch}
    for code in re.findall(r"```python\n(def .*?)```", text, re.DOTALL):
        exec(code, names)
    return names


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("told", [True, False])
def test_the_refit_of_a_layer(printed, told):
    weight, reads, writer = draw(6, 8), draw(40, 8, seed=1) @ draw(8, 8, seed=2), draw(8, 5, seed=3)
    mask = draw(6, 8, seed=4) > 0
    covariance = torch.cov(reads.T)
    moments = InputMoments(reads.mean(0), covariance + torch.outer(reads.mean(0), reads.mean(0)), len(reads))
    layer = Layer(weight, mask, written_by=writer if told else None, drawn=lambda: moments)
    found = printed["refit"](weight, mask, writer if told else weight.T, reads)
    torch.testing.assert_close(found, RULES["refit"](layer), rtol=1e-6, atol=1e-8)


def test_the_refit_of_the_head(printed):
    weight, bias = draw(4, 5), draw(4, seed=1)
    before = draw(7, 20, 5, seed=2) + 3 * draw(7, 1, 5, seed=3)
    after = before @ (torch.eye(5) + 0.3 * draw(5, 5, seed=4)) + draw(5, seed=5)
    kinds = [dict(zip("abcdefg", side)) for side in (before, after)]
    for found, expected in zip(
        printed["refit_head"](weight, bias, before, after, PULL), refitted(weight, bias, *kinds)
    ):
        torch.testing.assert_close(found, expected)
    assert printed["refit_head"].__defaults__ == (PULL,)
