"""``python -m benchmarks``: seconds from votes to a served classifier, for any worker command. See README.md."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import corpus as corpora
from benchmarks import report
from benchmarks.campaign import BATCH_SIZE, Bench, Campaign, Subject, repeatable, run
from benchmarks.common import PLAIN, asked_for, end_tidily, numbers, say
from benchmarks.quality import Judge, Quality
from tests.support import servers

LABELS = (100, 1_000, 5_000)


def main() -> None:
    """Measure, print the tables and write the JSON file."""
    options = parser().parse_args()
    end_tidily()
    corpus = corpora.read(options.data, limit=options.texts, seed=options.seed)
    steps = fitting(options.labels, len(corpus), options.repeat)
    with servers.running() as running:
        bench = Bench.of(running, corpus, seed=options.seed, deadline_s=options.deadline_s, say=say)
        machine = report.machine(*running)
        held_out_from = steps[-1] + BATCH_SIZE * max(options.repeat, len(steps))
        judge = Judge(corpus, bench.order, held_out_from=held_out_from)
        summaries = measure(bench, judge, subjects(options), steps, options)
    tables(corpus, options, *summaries)
    path = report.write(
        "bench",
        options.json,
        {
            "machine": machine,
            "corpus": {"name": corpus.name, "texts": len(corpus), "classes": len(corpus.label_names)},
            "options": {k: v for k, v in vars(options).items() if k not in ("data", "json")} | {"labels": steps},
            "workers": [summary.plain_data() for summary in summaries],
        },
    )
    say(f"raw figures: {path}")


def parser() -> argparse.ArgumentParser:
    """Return the options of this program."""
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument("--worker", metavar="COMMAND", help="command to measure; default: al_learner's worker")
    options.add_argument("--name", default="al_learner", help="its name in the tables")
    options.add_argument("--classifier", help="al_learner's plug-in; default: that of a new project")
    options.add_argument("--vectorizer", help="the same for the vectorizer")
    options.add_argument("--data", type=Path, default=corpora.DEMO, help="JSON lines (.gz) with text and label")
    options.add_argument("--texts", type=int, help="number of texts to use, chosen at random; default: all")
    options.add_argument("--labels", type=numbers, default=LABELS, help="labelled texts at each step: 100,1000,5000")
    options.add_argument("--repeat", type=int, default=5, help="number of campaigns; long steps are not repeated")
    options.add_argument("--skip-plain", action="store_true", help="do not measure the plain worker")
    options.add_argument("--plain-up-to", type=int, default=5_000, help="the plain worker's last step")
    options.add_argument("--skip-quality", action="store_true", help="leave out accuracy and the plain fits")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--deadline-s", type=float, default=1_800, help="longest wait for one classifier")
    options.add_argument("--json", type=Path, help="file for the raw figures; default: benchmarks/results/bench.json")
    return options


def fitting(labels: Sequence[int], n_texts: int, repeat: int) -> list[int]:
    """Return the steps that leave enough texts to measure on."""
    steps = sorted(set(labels))
    kept = [step for step in steps if step + BATCH_SIZE * max(repeat, len(steps)) + 100 <= n_texts]
    if kept != steps:
        say(f"{n_texts:,} texts are too few for {', '.join(f'{step:,}' for step in steps if step not in kept)} labels")
    if not kept:
        raise SystemExit("no step is left: give fewer --labels")
    return kept


def subjects(options: argparse.Namespace) -> list[Subject]:
    """Return the workers to measure: the one of the options, and the plain one."""
    found = [asked_for(options.name, options.worker, classifier=options.classifier, vectorizer=options.vectorizer)]
    if not options.skip_plain:
        found.append(Subject("plain", PLAIN, {}, labels_up_to=options.plain_up_to))
    return found


def measure(
    bench: Bench, judge: Judge, subjects: Sequence[Subject], steps: Sequence[int], options: argparse.Namespace
) -> list[report.Summary]:
    """Run the campaigns of all workers in turn, so that changes of the machine affect all workers."""
    campaigns: dict[str, list[Campaign]] = {subject.name: [] for subject in subjects}
    qualities: dict[str, list[Quality]] = {subject.name: [] for subject in subjects}
    left: dict[str, list[int] | None] = {
        subject.name: [step for step in steps if step <= (subject.labels_up_to or step)] for subject in subjects
    }

    def judged(subject: Subject) -> Any:
        def judge_all(app: Any, events: Any) -> None:
            if not options.skip_quality:
                started = time.monotonic()
                qualities[subject.name] = judge.judge(app, events, is_plain=subject.name == "plain")
                say(f"{subject.name}: compared with plain fits in {time.monotonic() - started:.0f} s")

        return judge_all

    for number in range(options.repeat):
        for subject in subjects:
            chosen = left[subject.name]
            if chosen is None:
                continue
            first = {"repeat": options.repeat, "judge": judged(subject)} if number == 0 else {}
            campaign = run(bench, subject, number, chosen, **first)
            campaigns[subject.name].append(campaign)
            if number == 0:
                left[subject.name] = repeatable(campaign, chosen)
    return [report.Summary(s.name, campaigns[s.name], qualities[s.name]) for s in subjects]


def tables(
    corpus: corpora.Corpus, options: argparse.Namespace, ours: report.Summary, plain: report.Summary | None = None
) -> None:
    """Print everything."""
    what = " + ".join(filter(None, (options.vectorizer, options.classifier))) or "the default strategies"
    print(f"\n## {corpus.name}: {len(corpus):,} texts, {len(corpus.label_names)} classes, {what}\n")
    print(report.speed_table(ours, plain))
    print(f"\n{report.memory_line(ours, plain)}")
    for summary in (ours, plain):
        if summary is not None and summary.qualities:
            print(f"\n### Agreement of {summary.name} with a plain fit\n\n{report.quality_table(summary)}")
    print(f"\n### How the cost of {ours.name} grows\n\n{report.growth_table(ours)}\n")


if __name__ == "__main__":
    main()
