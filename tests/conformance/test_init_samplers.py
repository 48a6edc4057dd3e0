"""Init samplers: every installed one is sound, and ``check_plugin`` sees it when one is not."""

import numpy as np
import pytest
from pydantic import Field

from al_learner import InitSampler, check_plugin, strategy
from al_learner.core.registry import names
from al_learner.core.testing import init_samplers
from tests.support.broken import Broken, assert_fails

PARAMETERS = [
    ("balanced", {"random_state": 3}),
    ("kmeans", {"random_state": 3, "max_texts": 20, "n_components": 1}),
    ("label-meaning", {"random_state": 3, "max_texts": 20, "max_words": 3, "texts_per_label": 1}),
    ("label-names", {"random_state": 3, "max_texts": 2}),
    ("uniform", {"random_state": 3}),
    ("diverse", {"pool": 1}),
]

BROKEN = Broken()


@pytest.mark.parametrize("name", names("init_sampler"))
def test_an_installed_init_sampler_keeps_the_promises_of_its_interface(name):
    check_plugin(strategy("init_sampler", name))


@pytest.mark.parametrize(("name", "params"), PARAMETERS)
def test_it_keeps_them_with_other_parameters_than_the_defaults(name, params):
    check_plugin(strategy("init_sampler", name, **params))


class BrokenSampler(InitSampler):
    how: str = Field(default="", description="What is wrong with it.")

    def sample(self, texts, labels, size, rng):
        rows, names = self.pick(len(texts), size, rng), [labels[i % len(labels)] for i in range(size)]
        return BROKEN.faults[self.how](texts, labels, rows, names, rng)


@BROKEN.fails(BrokenSampler, "check_sample_of_many_texts", "AttributeError")
def needs_a_list_of_texts(texts, _labels, rows, names, _rng):
    return rows, [name for name, _ in zip(names, texts.copy(), strict=False)]


@BROKEN.fails(BrokenSampler, "check_sample_of_many_texts", "positions must be integers")
def positions_that_are_no_integers(_texts, _labels, rows, names, _rng):
    return rows / 1, names


@BROKEN.fails(BrokenSampler, "check_sample_of_many_texts", "9 positions and 10 labels")
def a_text_too_few(_texts, _labels, rows, names, _rng):
    return rows[1:], names


@BROKEN.fails(BrokenSampler, "check_sample_of_many_texts", "10 positions and 9 labels")
def a_label_too_few(_texts, _labels, rows, names, _rng):
    return rows, names[1:]


@BROKEN.fails(BrokenSampler, "check_sample_of_many_texts", "positions must be from 0 to 49")
def positions_that_count_from_one(_texts, _labels, rows, names, _rng):
    return rows + 1, names


@BROKEN.fails(BrokenSampler, "check_sample_of_many_texts", "not [-1]")
def positions_that_count_from_the_end(_texts, _labels, rows, names, _rng):
    return rows - 1, names


@BROKEN.fails(BrokenSampler, "check_sample_of_many_texts", "different texts were picked; 10 are possible")
def the_same_text_twice(_texts, _labels, rows, names, _rng):
    return [*rows[:-1], rows[0]], names


@BROKEN.fails(BrokenSampler, "check_sample_of_many_texts", "not among the given ones: ['none']")
def a_label_of_its_own(_texts, _labels, rows, names, _rng):
    return rows, ["none", *names[1:]]


@BROKEN.fails(BrokenSampler, "check_sample_of_one_text", "ValueError")
def every_text_once_at_most(texts, _labels, rows, names, rng):
    return rng.choice(len(texts), 1 if len(rows) == 1 else max(len(rows), 2), replace=False), names


@BROKEN.fails(BrokenSampler, "check_sample_of_identical_texts", "10 are possible")
def texts_that_differ_alone(texts, _labels, rows, names, _rng):
    return [list(texts).index(texts[row]) for row in rows], names


@BROKEN.fails(BrokenSampler, "check_sample_larger_than_the_texts", "only 7 texts were picked instead of 20 or more")
def as_many_as_there_are(texts, _labels, rows, names, _rng):
    n = len(rows) if len(texts) == 1 else min(len(rows), len(texts))
    return rows[:n], names[:n]


@BROKEN.fails(BrokenSampler, "check_sample_with_two_labels", "two different labels are needed")
def labels_by_chance_alone(_texts, labels, rows, names, rng):
    return rows, [labels[i] for i in rng.integers(len(labels), size=len(names))]


@BROKEN.fails(BrokenSampler, "check_sample_smaller_than_the_labels", "2 positions and 30 labels")
def every_label_at_least_once(texts, labels, rows, names, _rng):
    return rows, [*names, *labels[len(names) :]] if len(texts) >= len(labels) else names


@BROKEN.fails(BrokenSampler, "check_same_rng_same_sample", "take all random numbers from rng")
def chance_of_its_own(_texts, _labels, rows, names, _rng):
    return np.random.default_rng().permutation(rows), names


class BrokenPrior(InitSampler):
    """Gives the texts labels in turn, and picks every text. But `how` spoils it."""

    how: str = Field(default="", description="What is wrong with it.")

    def sample(self, texts, labels, size, rng):
        return self.pick(len(texts), size, rng), self.deal(labels, size, rng)

    def prior(self, texts, labels, rng):
        if len(texts) < 2:
            return None
        names = [[*labels][i % len(labels)] for i in range(len(texts))]
        return BROKEN.faults[self.how](texts, labels, rng.permutation(len(texts)), names, rng)


@BROKEN.fails(BrokenPrior, "check_same_rng_same_prior", "take all random numbers from rng")
def a_prior_by_chance(_texts, _labels, rows, names, _rng):
    return np.random.default_rng().permutation(rows), names


@BROKEN.fails(BrokenPrior, "check_same_rng_same_prior", "AttributeError")
def a_prior_that_needs_a_list_of_texts(texts, _labels, rows, names, _rng):
    return rows[: len(texts.copy())], names


@BROKEN.fails(BrokenPrior, "check_same_rng_same_prior", "only 49 different ones")
def a_prior_with_a_text_twice(_texts, _labels, rows, names, _rng):
    return [*rows[:-1], rows[0]], names


@BROKEN.fails(BrokenPrior, "check_same_rng_same_prior", "positions must be from 0 to 49, not")
def a_prior_of_texts_that_do_not_exist(texts, _labels, rows, names, _rng):
    return rows + len(texts), names


@BROKEN.fails(BrokenPrior, "check_same_rng_same_prior", "49 positions and 50 labels")
def a_prior_with_a_text_too_few(_texts, _labels, rows, names, _rng):
    return rows[1:], names


@BROKEN.fails(BrokenPrior, "check_same_rng_same_prior", "not among the given ones: ['none']")
def a_prior_with_a_label_of_its_own(_texts, _labels, rows, names, _rng):
    return rows, ["none", *names[1:]]


@BROKEN.fails(BrokenPrior, "check_same_rng_same_prior", "two different labels are needed, not only ['ignored']")
def a_prior_with_one_label(_texts, _labels, rows, names, _rng):
    return rows, [names[0]] * len(names)


@BROKEN.fails(BrokenPrior, "check_same_rng_same_prior", "two different labels are needed, not only []")
def a_prior_without_texts(_texts, _labels, rows, names, _rng):
    return rows[:0].astype(np.intp), names[:0]


@BROKEN.fails(BrokenPrior, "check_prior_of_few_texts", "IndexError")
def a_prior_of_many_texts_alone(_texts, _labels, rows, names, _rng):
    return (rows, names) if rows[9] >= 0 else None


@BROKEN.fails(BrokenPrior, "check_prior_of_identical_texts", "different ones")
def a_prior_of_texts_that_differ_alone(texts, _labels, rows, names, _rng):
    return [list(texts).index(texts[row]) for row in rows.tolist()], names


@BROKEN.fails(BrokenPrior, "check_prior_of_texts_without_words", "ZeroDivisionError")
def a_prior_of_texts_with_words_alone(texts, _labels, rows, names, _rng):
    return (rows, names) if 1 / sum(character.isalpha() for text in texts for character in text) else None


@BROKEN.fails(BrokenPrior, "check_prior_of_described_labels", "not among the given ones: ['!', 'bad weather', ")
def descriptions_for_labels(_texts, labels, rows, names, _rng):
    return rows, [labels[name] or name for name in names]


class PriorOfAll(InitSampler):
    def sample(self, texts, labels, size, rng):
        rows = rng.permutation(max(len(texts), size)) % len(texts)
        return rows, self.deal(labels, len(rows), rng)

    def prior(self, texts, labels, rng):
        n = len(texts)
        return (rng.permutation(n), self.deal([*labels], n, rng)) if n > 1 else None


def test_a_sample_may_have_more_texts_than_asked_for_and_a_prior_any_number():
    check_plugin(PriorOfAll())


@BROKEN.each()
def test_a_broken_init_sampler_fails_the_check_of_what_it_breaks(broken, check, reason):
    assert_fails(broken, check, reason)


def test_every_check_of_init_samplers_can_fail():
    assert BROKEN.not_failed(init_samplers.CHECKS) == set()
