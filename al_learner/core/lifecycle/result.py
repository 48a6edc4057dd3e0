"""The result of a run that a person asked for."""

from __future__ import annotations

from dataclasses import dataclass

from al_learner.core.lifecycle.quality_gate import describe_gate
from al_learner.core.representation import html_table
from al_learner.core.storage.records import Run, RunKind
from al_learner.core.training.evaluation import describe_score


@dataclass(frozen=True)
class Result:
    """The result of a run that was asked for: the run, or None and the reason why nothing was done."""

    kind: RunKind
    reason: str
    run: Run | None = None

    def __str__(self) -> str:
        if self.run is None:
            return f"{self.kind}: not done ({self.reason})"
        run, metrics = self.run, self.run.metrics or {}
        if self.kind == "promote":
            return (
                f"promote: classifier {run.clf_id}, a copy of {metrics['promoted']['clf_id']}, is the newest until the "
                "next training, which is on all votes"
            )
        warning = describe_gate(run.clf_id, metrics.get("gate"))
        did = (
            f"{self.kind}: classifier {run.clf_id} from {run.texts} texts in {run.classes} classes, "
            f"{run.new_samples} of them new, in {run.seconds:.2f} s"
        )
        lines = [did, f"score: {describe_score(run.metrics)}", *([f"warning: {warning}"] if warning else [])]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        pairs = (line.partition(": ") for line in str(self).splitlines())
        return html_table((name, value) for name, _, value in pairs)
