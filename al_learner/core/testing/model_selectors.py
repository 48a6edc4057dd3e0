"""What model selectors promise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from al_learner.core.interfaces import Estimator, Labels, ModelSelector
from al_learner.core.registry import candidates
from al_learner.core.testing.classifiers import rows
from al_learner.core.testing.expect import CHANCE, FOUR_LABELS, TWO_LABELS, expect, seeded

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def check_candidates_are_installed(strategy: ModelSelector) -> None:
    """Every candidate is an installed classifier, and none is a model selector."""
    candidates(strategy)


def check_one_loss_a_row(strategy: ModelSelector) -> None:
    """Two labels, many labels, and numbers as labels. With some texts for each label, some losses are known."""
    for labels in (TWO_LABELS, [f"{label} {i}" for label in FOUR_LABELS for i in range(5)], [-1, 3, 20]):
        found = _losses(strategy, *rows(labels, each=20, noise=5), _bayes)
        expect(bool(np.isfinite(found).any()), f"with 20 texts of each of {len(labels)} labels all losses are nan")


def check_one_row_a_label(strategy: ModelSelector) -> None:
    """A label with one vote. No classifier can predict a label that it was not trained on."""
    _losses(strategy, *rows(FOUR_LABELS, each=1, noise=5), _bayes)


def check_labelled_data_is_not_changed(strategy: ModelSelector) -> None:
    """The core keeps features between runs, and gives them to every candidate."""
    X, y = rows(FOUR_LABELS, each=5, noise=5)
    kept_X, kept_y = X.copy(), y.copy()
    strategy.losses(X, y, _bayes)
    expect((kept_X != X).nnz == 0, "losses changes X")
    expect(np.array_equal(y, kept_y), "losses changes y")


def check_the_same_rows_for_every_candidate(strategy: ModelSelector) -> None:
    """Losses of different texts cannot be compared."""
    X, y = rows(FOUR_LABELS, each=5, noise=5)
    same = np.array_equal(np.isnan(_losses(strategy, X, y, _bayes)), np.isnan(_losses(strategy, X, y, _frequency)))
    expect(
        same,
        "the losses of another candidate are nan in other rows; they must be nan in the same rows for all candidates",
    )


def check_what_learns_is_better_than_what_does_not(strategy: ModelSelector) -> None:
    """Each label has its own words. The second classifier knows only how frequent the labels are."""
    X, y = rows(FOUR_LABELS, each=25, noise=5)
    learns, does_not = (float(np.nanmean(_losses(strategy, X, y, fit))) for fit in (_bayes, _frequency))
    expect(
        learns < does_not,
        f"the loss of a classifier that learns is {learns:.3f}; that of one that does not learn is {does_not:.3f}",
    )


def check_no_row_was_seen(strategy: ModelSelector) -> None:
    """Every row has its own word and a random label. A classifier that memorizes rows cannot predict other rows."""
    from scipy.sparse import identity  # heavy

    y = np.random.default_rng(0).choice(FOUR_LABELS, 100)
    X = identity(len(y), np.float32, format="csr")
    known, unknown = (float(np.nanmean(_losses(strategy, X, y, fit))) for fit in (_bayes, _frequency))
    expect(
        known > unknown / 2,
        f"the loss for random labels is only {known:.3f}; was the candidate trained on the rows that it predicts?",
    )


def check_same_seed_same_losses(strategy: ModelSelector) -> None:
    """The same rows give the same losses. Random numbers depend on the parameter `random_state`."""
    X, y = rows(FOUR_LABELS, each=10, noise=50)
    first, second = (_losses(seeded(strategy), X, y, _bayes) for _ in range(2))
    expect(np.allclose(first, second, rtol=0, atol=1e-6, equal_nan=True), CHANCE)


CHECKS = (
    check_candidates_are_installed,
    check_one_loss_a_row,
    check_one_row_a_label,
    check_labelled_data_is_not_changed,
    check_the_same_rows_for_every_candidate,
    check_what_learns_is_better_than_what_does_not,
    check_no_row_was_seen,
    check_same_seed_same_losses,
)


def _bayes(X: csr_matrix, y: Labels) -> Estimator:
    """Learn something, fast."""
    from sklearn.naive_bayes import MultinomialNB  # heavy

    return MultinomialNB(alpha=0.1).fit(X, y)  # type: ignore[no-any-return]  # scikit-learn has no types


def _frequency(X: csr_matrix, y: Labels) -> Estimator:
    """Learn how frequent the labels are, and nothing else."""
    from sklearn.dummy import DummyClassifier  # heavy

    return DummyClassifier(strategy="prior").fit(X, y)  # type: ignore[no-any-return]  # scikit-learn has no types


def _losses(
    strategy: ModelSelector, X: csr_matrix, y: Labels, fit: Callable[[csr_matrix, Labels], Estimator]
) -> NDArray[np.floating[Any]]:
    found = np.asarray(strategy.losses(X, y, fit))
    expect(found.shape == y.shape, f"{len(y)} rows need as many losses, not shape {found.shape}")
    expect(not np.isinf(found).any(), "some losses are infinite; an unknown loss must be nan")
    return found
