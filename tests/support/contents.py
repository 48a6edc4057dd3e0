"""Contents of exports, made by hand."""

from __future__ import annotations

from al_learner.core.exchange.output.contents import ClassProbabilities, Contents, ExportedText

WEATHER = (
    ExportedText(
        1,
        "a-7",
        "The sun\nshines.",
        "sun",
        (("sun", "ada@x.org"), ("rain", "ben@x.org"), ("sun", None)),
        ClassProbabilities(3, {"rain": 0.25, "sun": 0.75}),
    ),
    ExportedText(2, None, 'It "rains".', None, (), ClassProbabilities(3, {"rain": 0.5, "sun": 0.5})),
)
"""A text with an external id and three votes, and one without both. Both are predicted."""


def contents(what, texts=WEATHER, **options):
    """Return what an export of `texts` contains, as the database gives it: labels only of texts that have one."""
    chosen = [text for text in texts if what not in {"labels", "votes"} or text.votes]
    annotators = dict.fromkeys(annotator for text in chosen for _, annotator in text.votes)
    classes = ("rain", "sun") if what in {"texts", "predictions"} else ()
    given = {"classes": classes, "annotators": tuple(annotators)} | options
    return Contents(what, iter(chosen), ("ignored", "rain", "sun"), **given)
