"""The project that every test here puts into a program: twelve texts, three labels, what two annotators did."""

from __future__ import annotations

from typing import NamedTuple

LABELS = ("python", "sql", "c#")
"""doccano joins the labels of a text with `#`; a label may contain it all the same."""

ANNOTATORS = ("ann", "ben")

TEXTS = {
    "Q-01": "How do I sort a list of dictionaries by one of their keys?",
    "Q-02": 'What does "list index out of range" mean, and where do I look?',
    "Q-03": "Select the newest row of each customer, please.\nOne statement, no loop.",
    "Q-04": "LINQ or a join: which one is faster?",
    "Q-05": "Why does NULL = NULL give neither true nor false?",
    "Q-06": "When is a struct better than a class; and when is a record?",
    "Q-07": "Wie prüfe ich, ob ein Wörterbuch einen Schlüssel enthält?",
    "Q-08": "Delete duplicate rows, but keep one\tof each.",
    "Q-09": "An index on (a, b): does it help a query on b alone?",
    "Q-10": "asdf",
    "Q-11": "What is the difference between a list and a tuple? 🐍",
    "Q-12": "How do I await several tasks and cancel the rest?",
}
"""External id to text."""


class Answer(NamedTuple):
    """What one annotator did with one text. The label of a skip is what was selected before it, if anything."""

    id: str
    annotator: str
    label: str | None
    kind: str = "vote"


ANSWERS = (
    Answer("Q-01", "ann", "python"),
    Answer("Q-01", "ben", "python"),
    Answer("Q-02", "ann", "python"),
    Answer("Q-02", "ben", "python"),
    Answer("Q-03", "ann", "sql"),
    Answer("Q-03", "ben", "sql"),
    Answer("Q-04", "ann", "c#"),
    Answer("Q-04", "ben", "sql"),
    Answer("Q-05", "ann", "sql"),
    Answer("Q-06", "ben", "c#"),
    Answer("Q-07", "ann", "sql", "skip"),
    Answer("Q-07", "ben", "python"),
    Answer("Q-08", "ann", "sql", "draft"),
    Answer("Q-09", "ann", "sql"),
    Answer("Q-10", "ben", None, "skip"),
)

VOTES = [answer for answer in ANSWERS if answer.kind == "vote"]

PREDICTIONS = {"Q-01": ("python", 0.91), "Q-04": ("c#", 0.48), "Q-08": ("sql", 0.77), "Q-12": ("c#", 0.62)}
"""External id to the label that a model predicted, and its probability."""

MODEL_VERSION = "al-learner-7"
