"""The windows of a Swin: which tokens see each other."""

import numpy as np


def window_numbers(rows: int, columns: int, window: tuple[int, int], shift: tuple[int, int] = (0, 0)) -> np.ndarray:
    """The number of the window that each token lies in, as a Swin (Liu et al., ICCV 2021) cuts its tokens.

    With a shift the cuts move down and right by so many tokens, and what is cut off at one edge is not joined to the
    other: it stands in smaller windows of its own, as the masks of Swin's attention have it.

    Args:
        rows: of tokens, a multiple of the window's height.
        columns: of tokens, a multiple of the window's width.
        window: its height and width in tokens.
        shift: rows and columns of tokens, each less than the window's.

    Returns:
        int (rows, columns): equal where tokens see each other.

    Raises:
        ValueError: windows that do not fill the rows and columns, or a shift as large as a window.
    """
    for count, side, move in zip((rows, columns), window, shift):
        if side < 1 or count % side or not 0 <= move < side:
            raise ValueError(
                f"Windows of {window[0]} × {window[1]}, shifted by {shift[0]} and {shift[1]}, do not cut {rows} × "
                f"{columns} tokens; give sides that divide these, and a shift of less than a side."
            )
    # a cut at `move`, then every `side`
    down, across = ((np.arange(count) - move) // side for count, side, move in zip((rows, columns), window, shift))
    down, across = down - down.min(), across - across.min()
    return down[:, None] * (across.max() + 1) + across[None, :]
