"""The methods of `Project` that predict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from al_learner.core.interfaces import Estimator, Transformer
from al_learner.core.models.catalogue import Catalogue, Prediction


class PredictingMethods:
    """The methods of `Project` that predict."""

    _catalogue: Catalogue
    load_model: Callable[..., tuple[Transformer, Estimator]]

    def predict(self, texts: Iterable[str] | None = None, *, clf_id: int | None = None) -> Iterator[Prediction]:
        """Predict labels with a stored classifier, by default the newest; raises like `load_model`.

        Parameters
        ----------
        texts : iterable of str, optional
            By default every text of the project.
        clf_id : int, optional
        """
        yield from self._catalogue.predict(texts, *self.load_model(clf_id))

    def predict_proba(
        self, texts: Iterable[str] | None = None, *, clf_id: int | None = None
    ) -> Iterator[tuple[int, dict[str, float]]]:
        """Predict the probability of every class; parameters and errors as of `predict`.

        Yields
        ------
        number : int
            As in `Prediction`.
        probabilities : dict of str to float
            By class, in the classifier's order.
        """
        yield from self._catalogue.predict_proba(texts, *self.load_model(clf_id))
