"""Orders, tasks and answers as bytes that are parsed, never unpickled.

Whoever controls a machine of a cluster can send what they like. So what comes from there is checked, field by field,
against the dataclass that is expected. The format is MessagePack; an array of numbers is its shape and its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import msgspec
import numpy as np

from al_learner.core import errors
from al_learner.core.errors import AlLearnerError, ClusterError

T = TypeVar("T")

Slot = Literal["training", "scoring", "batch"]
"""What a task is: a training, which annotators wait for; a score or a comparison; or part of what a person asked for.

These are the names of Dask's resources, too. A Dask worker may offer some of each. Then none of them keeps another
waiting.
"""


@dataclass(frozen=True)
class Answer:
    """What a Dask worker answers: an encoded result, or the class and the message of an AlLearnerError."""

    result: bytes = b""
    error: str = ""
    message: str = ""


@dataclass(frozen=True)
class Order:
    """What the client process is to do: send a task, cancel it, keep data, or ask if there are Dask workers.

    Attributes
    ----------
    number : int
        Of the order that this is or that it cancels.
    task : bytes
        What is sent. Empty: nothing, so the order only asks if there are Dask workers.
    slot : str
    worker : str
        The address of the Dask worker that should do it; empty if any may.
    is_kept : bool
        `task` is data for later orders, and is sent once.
    uses : int
        The number of the order whose data the task gets; 0 if it gets none.
    parts : tuple of bytes
        Tasks that are done before. Their answers are merged by tasks `merge`, which get some of them each, and `task`
        gets the result.
    merge : bytes
    """

    number: int
    task: bytes = b""
    slot: Slot = "training"
    worker: str = ""
    is_kept: bool = False
    uses: int = 0
    parts: tuple[bytes, ...] = ()
    merge: bytes = b""
    is_cancelled: bool = False


@dataclass(frozen=True)
class Reply:
    """What the client process replies: an encoded `Answer` and who gave it; or why there is none."""

    number: int
    answer: bytes = b""
    worker: str = ""
    unavailable: str = ""


def encode(value: object) -> bytes:
    """Return a dataclass as bytes: one of plain data, bytes, arrays of numbers or strings, and such dataclasses."""
    return msgspec.msgpack.encode(value, enc_hook=_plain)


def decode(cls: type[T], message: bytes) -> T:
    """Return what a message holds.

    Raises
    ------
    ClusterError
        It does not hold that.
    """
    try:
        return msgspec.msgpack.decode(message, type=cls, dec_hook=_array)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise ClusterError(f"a message from the cluster is not as expected: {exc}") from exc


def result(cls: type[T], message: bytes) -> T:
    """Return the result that an encoded `Answer` holds; raise the AlLearnerError that it holds instead."""
    answer = decode(Answer, message)
    if not answer.error:
        return decode(cls, answer.result)
    raised = getattr(errors, answer.error, None)
    if not (isinstance(raised, type) and issubclass(raised, AlLearnerError)):
        raised = ClusterError
    raise raised(answer.message.splitlines()) if raised is errors.SettingsError else raised(answer.message)


def _plain(value: object) -> object:
    if not isinstance(value, np.ndarray):
        raise NotImplementedError(f"{type(value).__name__} is not sent")  # what msgspec asks of such a function
    return value.tolist() if value.dtype == object else (value.shape, value.tobytes())


def _array(kind: Any, value: Any) -> Any:
    """Return an array of the annotated type: NDArray of int64, float32, strings, or of floats, which are float64."""
    (dtype,) = get_args(get_args(kind)[1])
    if dtype is np.object_:
        return np.array(msgspec.convert(value, list[str]), object)
    shape, content = msgspec.convert(value, tuple[tuple[int, ...], bytes])
    exact = dtype if dtype in (np.int64, np.float32) else np.float64
    return np.frombuffer(content, exact).reshape(shape).copy()
