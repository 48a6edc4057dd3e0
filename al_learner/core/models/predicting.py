"""The methods of `Project` that predict, and explain what is predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, cast

from al_learner.core.errors import DataError
from al_learner.core.interfaces import Estimator, Transformer, Vectorizer
from al_learner.core.models.catalogue import Catalogue, Prediction
from al_learner.core.registry import Spec
from al_learner.core.storage.exchange.annotated_texts import MAX_ID_LENGTH
from al_learner.core.storage.exchange.external_ids import known
from al_learner.core.storage.storage import Storage

if TYPE_CHECKING:
    from al_learner.core.training.explanation import Effect, Explanation, LinearModel


class PredictingMethods:
    """The methods of `Project` that predict, and explain what is predicted."""

    _catalogue: Catalogue
    _storage: Storage
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

    def texts(self, text_ids: Iterable[int]) -> dict[int, str]:
        """Return texts of the project by text_id; an id that no text has is left out."""
        return self._storage.tables.texts("text_data", [text_id for text_id in text_ids if abs(text_id) < 2**31])

    def explain(self, text: str | int, *, label: str | None = None, clf_id: int | None = None) -> Explanation:
        """Return which words speak for a label of a text, and which against it.

        Parameters
        ----------
        text : str or int
            One of the project's texts, by its text_id (int) or by the id that it has elsewhere; or any other text.
        label : str, optional
            By default the one that is predicted.
        clf_id : int, optional
            The classifier; by default the newest.

        Raises
        ------
        DataError
            There is no such text, classifier or label, or the classifier is not linear.
        UntrustedError
            The classifier was not stored by al_learner, or was changed later. It is not loaded.
        """
        found = self._text_of(text)
        return self._linear_model(clf_id).explain(found, label)

    def top_features(self, n: int = 10, *, clf_id: int | None = None) -> dict[str, list[Effect]]:
        """Return the `n` words that speak most for each label; errors as of `explain`.

        Returns
        -------
        dict of str to list of Effect
            What a feature of 1 adds to the label's score, the largest first.
        """
        return self._linear_model(clf_id).top_features(n)

    def _text_of(self, given: str | int) -> str:
        text_ids = [given] if isinstance(given, int) else []
        name = str(given)
        if len(name) <= MAX_ID_LENGTH and name.isprintable():  # a text may have characters that no database takes
            text_ids += known(self._storage.database, [name]).values()
        texts = self.texts(text_ids)
        if found := [texts[text_id] for text_id in text_ids if text_id in texts]:
            return found[0]
        if isinstance(given, int):
            raise DataError(f"there is no text with text_id {given}, and none with this external id")
        return given

    def _linear_model(self, clf_id: int | None) -> LinearModel:
        from al_learner.core.training.explanation import LinearModel  # heavy: scikit-learn

        chosen = clf_id or self._storage.tables.newest_clf_id()
        transformer, classifier = self.load_model(chosen or None)
        _, run = self._catalogue.shown(chosen)
        if run is None:  # another program has stored it
            return LinearModel(transformer, classifier)
        vectorizer = cast(Vectorizer, Spec(**run.strategies["vectorizer"]).make("vectorizer"))
        return LinearModel(transformer, classifier, vectorizer.groups)
