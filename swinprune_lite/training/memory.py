"""What to do when memory is too small."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is too small, on GPU or CPU."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)


@contextmanager
def advise_on_memory(batch_size: int) -> Iterator[None]:
    """Turn torch's out-of-memory errors, on GPU or CPU, into a MemoryError that suggests a batch size.

    Args:
        batch_size: images that are being processed at a time.
    """
    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        advice = f"try batch_size = {max(2, batch_size // 4 * 2)}" if batch_size > 2 else "take a smaller model"
        raise MemoryError(f"Batches of {batch_size} images do not fit into memory; {advice}.") from error
