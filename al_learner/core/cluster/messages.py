"""Jobs and answers as bytes that are parsed, never unpickled.

Whoever controls a machine of a cluster can send what they like. So what comes from there is checked, field by field,
against the dataclass that is expected. The format is MessagePack; an array of numbers is its shape and its bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import msgspec
import numpy as np

from al_learner.core.errors import ClusterError
from al_learner.core.training.job import Job, Losses

T = TypeVar("T")

TaskName = Literal["train", "score", "losses", "has_predicted"]
"""A method of `Trainer`."""


@dataclass(frozen=True)
class Task:
    """What a Dask worker is to do.

    Attributes
    ----------
    database : str
        Its URL, without user and password: every Dask worker has its own.
    models : tuple of two tuples
        What `Trainer.has_predicted` gets, instead of a job.
    timeout_s, memory_mib, niceness
        Of the training process; see `TaskProcess`.
    versions : mapping of str to str
        Of Python and of the packages that must be the same there.
    """

    name: TaskName
    database: str
    timeout_s: float
    memory_mib: int | None
    niceness: int
    versions: Mapping[str, str]
    job: Job | None = None
    models: tuple[tuple[int, str], tuple[int, str]] | None = None


@dataclass(frozen=True)
class Answer:
    """What a Dask worker answers: the encoded result, or the class and the message of an AlLearnerError."""

    result: bytes = b""
    error: str = ""
    message: str = ""


@dataclass(frozen=True)
class LossesResult:
    """The result of `Trainer.losses`."""

    losses: Losses


@dataclass(frozen=True)
class PredictedResult:
    """The result of `Trainer.has_predicted`."""

    has_predicted: bool


@dataclass(frozen=True)
class Order:
    """What the client process is to do: send a task, cancel it, or, without a task, ask if there are Dask workers.

    Attributes
    ----------
    number : int
        Of the order that this is or that it cancels.
    task : bytes
        An encoded `Task`.
    is_urgent : bool
        Whether it is a training, which annotators wait for, and not a score or a comparison.
    worker : str
        The address of the Dask worker that has done such tasks before; empty if there is none.
    """

    number: int
    task: bytes = b""
    is_urgent: bool = False
    worker: str = ""
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


def _plain(value: object) -> object:
    if not isinstance(value, np.ndarray):
        raise NotImplementedError(f"{type(value).__name__} is not sent")  # what msgspec asks of such a function
    return value.tolist() if value.dtype == object else (value.shape, value.tobytes())


def _array(kind: Any, value: Any) -> Any:
    """Return an array of the annotated type: NDArray of int64, of floats, which are float64, or of strings."""
    (dtype,) = get_args(get_args(kind)[1])
    if dtype is np.object_:
        return np.array(msgspec.convert(value, list[str]), object)
    shape, content = msgspec.convert(value, tuple[tuple[int, ...], bytes])
    return np.frombuffer(content, np.int64 if dtype is np.int64 else np.float64).reshape(shape).copy()
