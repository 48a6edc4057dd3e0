"""What classifiers promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from al_learner.core.errors import PluginError
from al_learner.core.interfaces import Classifier, Labels, LinearStart
from al_learner.core.testing.expect import CHANCE, FOUR_LABELS, TWO_LABELS, as_read, expect, reason, seeded

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def check_two_labels(strategy: Classifier) -> None:
    """Two labels, as in the smallest project."""
    _fitted(strategy, *rows(TWO_LABELS, each=10, noise=5))


def check_many_labels(strategy: Classifier) -> None:
    """Many labels, also with blanks and beyond ASCII."""
    _fitted(strategy, *rows([f"{label} {i}" for label in FOUR_LABELS for i in range(5)], each=3, noise=5))


def check_integer_labels(strategy: Classifier) -> None:
    """Labels that are numbers, as in a notebook."""
    _fitted(strategy, *rows([-1, 3, 20], each=5, noise=5))


def check_fewer_rows_than_columns(strategy: Classifier) -> None:
    """Hundreds of words in a few texts, as in the first runs of every project."""
    _fitted(strategy, *rows(FOUR_LABELS, each=3, noise=300))


def check_one_row_a_label(strategy: Classifier) -> None:
    """A label with one vote. Cross-validation inside a classifier cannot split it."""
    _fitted(strategy, *rows(FOUR_LABELS, each=1, noise=5))


def check_row_without_known_words(strategy: Classifier) -> None:
    """The predictor scores empty texts too, whose rows are all zeros."""
    from scipy.sparse import csr_matrix  # heavy

    X, y = rows(FOUR_LABELS, each=5, noise=5)
    _probabilities(_fitted(strategy, X, y), csr_matrix((3, X.shape[1]), dtype=np.float32))


def check_training_data_is_not_changed(strategy: Classifier) -> None:
    """`fit` changes neither X nor y: al_learner uses the same arrays in the next run."""
    X, y = rows(FOUR_LABELS, each=5, noise=5)
    kept_X, kept_y = X.copy(), y.copy()
    strategy.fit(X, y)
    expect((kept_X != X).nnz == 0, "fit changes X")
    expect(np.array_equal(y, kept_y), "fit changes y")


def check_labels_are_not_mixed_up(strategy: Classifier) -> None:
    """A column of predict_proba belongs to the label at its place in classes_.

    Each label has its own words. So a classifier that mixes the labels up is nearly always wrong. A classifier that has
    learned nothing is right once in four times; that is no reason to fail here, so the limit is one in eight.
    """
    X, y = rows(FOUR_LABELS, each=20, noise=5)
    share = float((_fitted(strategy, X, y).predict(X) == y).mean())
    expect(
        share > 1 / 8, f"it predicts only {share:.0%} of its own training rows correctly; check the order of classes_"
    )


def check_same_seed_same_classifier(strategy: Classifier) -> None:
    """The same rows give the same classifier. Random numbers depend on the parameter `random_state`."""
    X, y = rows(FOUR_LABELS, each=10, noise=50)
    first, second = (_fitted(seeded(strategy), X, y).predict_proba(X) for _ in range(2))
    expect(np.allclose(first, second, rtol=0, atol=1e-6), CHANCE)


def check_stored_classifier_is_the_same(strategy: Classifier) -> None:
    """Stored and read where only the packages in `requires` are installed, the classifier predicts the same."""
    X, y = rows(FOUR_LABELS, each=5, noise=5)
    fitted = _fitted(strategy, X, y)
    read = as_read(fitted, strategy)
    same = np.array_equal(_probabilities(read, X), _probabilities(fitted, X))
    expect(same, "the stored classifier predicts other probabilities than the fitted one")


def check_columns_of_meaning(strategy: Classifier) -> None:
    """Columns of meaning are full and have negative values. A classifier uses them, or leaves them out.

    Every text has other values than those in training, and they may be smaller.
    """
    from scipy.sparse import csr_matrix, hstack  # heavy

    words, y = rows(FOUR_LABELS, each=10, noise=5)
    meaning = np.random.default_rng(0).normal(size=(len(y), 5)).astype(np.float32)
    n_words, n_features = words.shape[1], words.shape[1] + meaning.shape[1]
    groups = {"words": slice(0, n_words), "meaning": slice(n_words, n_features)}
    positive, X, others = (hstack([words, csr_matrix(m)], format="csr") for m in (abs(meaning), meaning, -meaning))
    _fitted(strategy, positive, y, groups)
    try:
        _probabilities(_fitted(strategy, X, y, groups), others)
    except Exception as exc:  # whatever a third party's code raises
        raise PluginError(
            "it fails on the negative values of columns of meaning; let fit accept them, or derive the class from "
            f'WeighsColumns with column_weights={{"meaning": 0}}, so that it gets only words: {reason(exc)}'
        ) from exc


def check_start_does_not_change_the_result(strategy: Classifier) -> None:
    """`fit_from` gives the same result as `fit`, whether it starts at zeros or at another model."""
    if type(strategy).fit_from is Classifier.fit_from:
        return
    rng = np.random.default_rng(0)
    for labels in (TWO_LABELS, FOUR_LABELS):
        X, y = rows(labels, each=20, noise=5)
        fitted = seeded(strategy).fit(X, y)
        shape = (1 if len(labels) == 2 else len(labels), X.shape[1])
        for coef in (np.zeros(shape), rng.normal(size=shape)):
            started = seeded(strategy).fit_from(X, y, LinearStart(coef, np.zeros(shape[0])))
            expect(np.array_equal(started.classes_, fitted.classes_), "fit_from gives other classes_ than fit")
            off = float(np.abs(_probabilities(started, X) - _probabilities(fitted, X)).max())
            expect(off < 0.05, f"the probabilities of fit_from differ from those of fit by up to {off:.2f}")


def check_equal_weights_change_nothing(strategy: Classifier) -> None:
    """Weights of 1 give the same result as no weights."""
    if not strategy.weighs_rows():
        return
    X, y = rows(FOUR_LABELS, each=10, noise=50)
    weighed = _weighed(strategy, X, y, np.ones(len(y), np.float32))
    off = float(np.abs(weighed - _probabilities(seeded(strategy).fit(X, y), X)).max())
    expect(off <= 1e-6, f"weights of 1 change the probabilities by up to {off:.2g}")


def check_weights_are_not_changed(strategy: Classifier) -> None:
    """`fit` does not change the weights: al_learner uses the same array for other models."""
    if not strategy.weighs_rows():
        return
    X, y = rows(FOUR_LABELS, each=5, noise=5)
    weights = np.linspace(0.05, 1, len(y), dtype=np.float32)
    kept = weights.copy()
    _weighed(strategy, X, y, weights)
    expect(np.array_equal(weights, kept), "fit changes sample_weight")


def check_the_heavier_label_wins(strategy: Classifier) -> None:
    """If equal rows have different labels, the label of those with the larger weight is more probable.

    That a row of weight 2 counts exactly like two rows is true for many models, but not for trees, for example.
    """
    if not strategy.weighs_rows():
        return
    from scipy.sparse import vstack  # heavy

    X, y = rows(FOUR_LABELS, each=10, noise=5)
    other = np.roll(y, 1)  # the labels take turns, so each row gets another one
    both, labels = vstack([X, X], format="csr"), np.hstack([y, other])
    for name, heavy, light, order in (("first", y, other, (3, 1)), ("last", other, y, (1, 3))):
        found = _weighed(strategy, both, labels, np.repeat(order, len(y)).astype(np.float32))[: len(y)]
        if (found == found[0]).all():
            return  # it has learned nothing, which is no reason to fail here
        row, classes = np.arange(len(y)), np.unique(y)
        more, less = (float(found[row, np.searchsorted(classes, those)].mean()) for those in (heavy, light))
        expect(
            more > less,
            f"equal rows have two labels, and the {name} ones have weight 3 instead of 1; but the probability of their "
            f"labels is only {more:.3f}, and that of the others {less:.3f}",
        )


def check_a_start_takes_weights_too(strategy: Classifier) -> None:
    """If `fit` has the parameter `sample_weight`, `fit_from` has it too, and gives the same result."""
    cls = type(strategy)
    if "sample_weight" not in signature(cls.fit).parameters or cls.fit_from is Classifier.fit_from:
        return
    expect(cls.weighs_rows(), "fit has the parameter sample_weight, but fit_from does not have it")
    X, y = rows(FOUR_LABELS, each=20, noise=5)
    y = np.random.default_rng(0).permutation(y)  # with labels that can be told apart, weights hardly matter
    weights = np.where(y == y[0], 0.05, 1).astype(np.float32)
    start = LinearStart(np.zeros((len(FOUR_LABELS), X.shape[1])), np.zeros(len(FOUR_LABELS)))
    started = _probabilities(seeded(strategy).fit_from(X, y, start, sample_weight=weights), X)  # type: ignore[call-arg]
    off = float(np.abs(started - _weighed(strategy, X, y, weights)).max())
    expect(off < 0.05, f"with weights, the probabilities of fit_from differ from those of fit by up to {off:.2f}")


CHECKS = (
    check_two_labels,
    check_many_labels,
    check_integer_labels,
    check_fewer_rows_than_columns,
    check_one_row_a_label,
    check_row_without_known_words,
    check_training_data_is_not_changed,
    check_labels_are_not_mixed_up,
    check_same_seed_same_classifier,
    check_stored_classifier_is_the_same,
    check_columns_of_meaning,
    check_start_does_not_change_the_result,
    check_equal_weights_change_nothing,
    check_weights_are_not_changed,
    check_the_heavier_label_wins,
    check_a_start_takes_weights_too,
)


def rows(labels: Sequence[Any], *, each: int, noise: int) -> tuple[csr_matrix, Labels]:
    """Return `each` rows for each label. Two words occur only with that label; `noise` is the number of other words.

    The labels come in descending order, so a classifier that does not sort its classes confuses them.
    """
    from scipy.sparse import csr_matrix  # heavy

    rng = np.random.default_rng(0)
    y = np.tile(np.array(sorted(labels, reverse=True)), each)
    own = (y[:, np.newaxis] == np.unique(y)).repeat(2, axis=1)
    words = rng.poisson(0.3, (len(y), noise))
    words[rng.integers(len(y), size=noise), np.arange(noise)] += 1
    return csr_matrix(np.hstack([own, words]), dtype=np.float32), y


def _fitted(strategy: Classifier, X: csr_matrix, y: Labels, groups: Mapping[str, slice] | None = None) -> Any:
    """Train as the core does, and check the predictions for the same rows."""
    from al_learner.core.training.fitting import fit_classifier  # heavy: scikit-learn

    pipeline = fit_classifier(strategy, X, y, groups=groups)
    _probabilities(pipeline, X)
    return pipeline


def _weighed(strategy: Classifier, X: csr_matrix, y: Labels, weights: NDArray[np.float32]) -> NDArray[Any]:
    """Train with weights, and return the probabilities of the same rows."""
    return _probabilities(seeded(strategy).fit(X, y, sample_weight=weights), X)  # type: ignore[call-arg]  # it has it


def _probabilities(estimator: Any, X: csr_matrix) -> NDArray[np.floating[Any]]:
    from al_learner.core.training.fitting import wrong_predictions  # heavy: scikit-learn

    probabilities, predicted = np.asarray(estimator.predict_proba(X)), np.asarray(estimator.predict(X))
    wrong = wrong_predictions(probabilities, predicted, (X.shape[0], len(estimator.classes_)))
    expect(wrong is None, str(wrong))
    expect(bool(np.isin(predicted, estimator.classes_).all()), "predict gives labels that are not in classes_")
    given = probabilities[np.arange(len(predicted)), np.searchsorted(estimator.classes_, predicted)]
    is_first = bool((given >= probabilities.max(axis=1) - 1e-6).all())
    expect(is_first, "predict gives other labels than the most probable ones of predict_proba")
    return probabilities
