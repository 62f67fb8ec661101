"""The calls of modules that are under way in this thread, as Python's stack shows them; not to be traced by dynamo.

A hook after a module's forward pass is not run when that is interrupted (by KeyboardInterrupt, say), and none tells
the tensors that `torch.func.functional_call` lends a module from those that are to stay.
"""

import sys
from collections.abc import Iterator
from types import FrameType

from torch import nn
from torch.nn.utils import stateless


def innermost_call() -> FrameType | None:
    """The innermost call of a module: in its hooks before the forward pass the same frame as in those after it."""
    return next((frame for frame in _frames() if frame.f_code is nn.Module._call_impl.__code__), None)


def is_under_way(call: FrameType | None) -> bool:
    """Whether this is within the call that was the innermost one once."""
    return any(frame is call for frame in _frames())


def is_functional_call() -> bool:
    """Whether this is within a functional_call, of whichever module."""
    return any(frame.f_globals is vars(stateless) for frame in _frames())


def _frames() -> Iterator[FrameType]:
    frame = sys._getframe(1)
    while frame:
        yield frame
        frame = frame.f_back
