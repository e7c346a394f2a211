"""Learns from the answers to a few rows how many tokens and seconds the other rows take, with an interval.

The prompt tokens and the answer tokens of a row's first answer are straight lines over the bytes of its request: a
fixed prefix, and a slope. Images add what the model's rule says. A share of the rows needs further answers. What comes
out is a prediction interval for a total: the error of the fitted lines, the scatter of the rows that are still to come,
and a remainder for what no sample shows. Rows that are done are known, and so not part of it.

Without answers, tokens are estimated from bytes and from the in-context examples, and the interval is wider.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

from syphus.exchange import BYTES_PER_TOKEN

LEVEL = 0.9  #: of all intervals
MIN_ANSWERS = 8  #: from fewer, nothing is learnt
TYPICAL_ANSWER_TOKENS = 250.0  #: if no in-context example shows how long an answer is

_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
_PRIOR_ROWS, _PRIOR_FURTHER = 10.0, 0.3  # assumed before any row was seen: further answers for 3 of 100 rows
_MOST_SKEW = 3.0  # of the skewness that is believed
_CORRECTION_TOKENS = 40.0  # of the message that asks again
_TYPICAL_SPEED, _TYPICAL_WAIT = 60.0, 1.0  # answer tokens a second, and the seconds before them, if none were seen


class Tokens(NamedTuple):
    """Prompt and answer tokens; or what each of them weighs in a total: 1 for tokens, a price for dollars."""

    prompt: float
    answer: float

    def dot(self, other: Tokens) -> float:
        """Return the sum of the products."""
        return self.prompt * other.prompt + self.answer * other.answer


# Standard deviations, relative to the tokens, of an error that all rows share.
_LEARNT_ERROR = Tokens(0.01, 0.04)
_ESTIMATED_ERROR = Tokens(0.12, 0.25)  # prose has 3.5 to 5 bytes a token; examples show the length of an answer
_GUESSED_ERROR = Tokens(0.12, 0.5)  # no example shows it
NO_ERROR = Tokens(0.0, 0.0)
_LEARNT_TIME, _ESTIMATED_TIME = 0.05, 0.5  # the same for seconds


class Range(NamedTuple):
    """A middle, and the bounds of its 90% interval."""

    middle: float
    low: float
    high: float

    @property
    def margin(self) -> float:
        """Half the width of the interval, as a share of the middle."""
        return (self.high - self.low) / 2 / self.middle if self.middle else 0.0


class RowSize(NamedTuple):
    """What is known of a row before it is asked: the bytes of its request without its images, and their tokens."""

    text_bytes: int
    image_tokens: int = 0

    @classmethod
    def of_request(cls, size: int, image_tokens: int) -> RowSize:
        """Return the size for a request of `size` bytes, in which an image token takes the room of a text token."""
        return cls(size - BYTES_PER_TOKEN * image_tokens, image_tokens)


class AnsweredRow(NamedTuple):
    """A row with its answers. `further` answers were asked for because the first one was rejected."""

    size: RowSize
    first: Tokens  #: of the first answer, images included
    seconds: float  #: of the first answer
    further: int = 0
    further_tokens: Tokens = Tokens(0.0, 0.0)  #: of one of the further answers, images included


class Rows:
    """The rows that are still to be asked: `count` of them. `sizes` are those of all of them, or of a sample."""

    def __init__(self, sizes: Sequence[RowSize], count: float | None = None) -> None:
        self.sizes = sizes
        self.count = float(len(sizes) if count is None else count)
        texts = [size.text_bytes for size in sizes]
        self.mean_bytes = fmean(texts) if texts else 0.0
        self.mean_image_tokens = fmean(size.image_tokens for size in sizes) if sizes else 0.0
        spread = sum((each - self.mean_bytes) ** 2 for each in texts) / max(1, len(texts) - 1)
        unseen = max(0.0, 1 - len(sizes) / self.count) if self.count else 0.0
        self.variance_of_mean = spread / max(1, len(sizes)) * unseen  #: of `mean_bytes`; 0 if all sizes are known


@dataclass(frozen=True, slots=True)
class TokenModel:
    """What rows take: learnt from `answers` rows, or estimated if that is 0. `fit` makes it.

    A row of `mean_bytes` takes `mean` tokens, images not included, and each further byte adds `slope`. The answers to
    a row scatter around that with variances of prompt and answer tokens, and a covariance. `error` is the relative
    standard deviation of an error that all rows share.
    """

    answers: int
    mean: Tokens
    slope: Tokens
    mean_bytes: float
    bytes_spread: float  #: sum of the squared distances of the rows from `mean_bytes`
    scatter: tuple[float, float, float]
    skew: float  #: third central moment of the answer tokens; 0 if none is known or they have no long tail
    error: Tokens
    further: float  #: further answers per row
    further_variance: float
    further_prompt: float  #: how many tokens the prompt of a further answer has more than that of the first
    further_answer: float
    seconds: float  #: of one request
    seconds_spread: float  #: standard deviation of the seconds of one request, relative to `seconds`
    seconds_skew: float  #: their third central moment, relative to the third power of `seconds`
    slowest: float  #: seconds of the slowest request

    @property
    def is_learnt(self) -> bool:
        """Whether it was learnt from answers."""
        return self.answers > 0

    def row_tokens(self, size: RowSize) -> Tokens:
        """Return the expected tokens of all answers to a row of this size."""
        return self._row_tokens(size.text_bytes, size.image_tokens)

    def _row_tokens(self, text_bytes: float, image_tokens: float) -> Tokens:
        distance = text_bytes - self.mean_bytes
        prompt = max(0.0, self.mean.prompt + self.slope.prompt * distance) + image_tokens
        answer = max(0.0, self.mean.answer + self.slope.answer * distance)
        extra = self.further_prompt if self.is_learnt else answer + _CORRECTION_TOKENS
        again = self.further_answer if self.is_learnt else answer
        return Tokens(prompt + self.further * (prompt + extra), answer + self.further * again)

    def total(self, rows: Rows) -> Tokens:
        """Return the expected tokens of all rows."""
        each = self._row_tokens(rows.mean_bytes, rows.mean_image_tokens)
        return Tokens(rows.count * each.prompt, rows.count * each.answer)

    def requests(self, rows: Rows) -> float:
        """Return the expected number of answers for all rows."""
        return rows.count * (1 + self.further)

    def deviation(self, rows: Rows, weights: Tokens, error: Tokens = NO_ERROR) -> float:
        """Return the standard deviation of the weighted sum of all tokens of the rows.

        `error` is a further error that all rows share, such as for the tokenizer of another model.
        """
        count, total = rows.count, self.total(rows)
        text = total.prompt - self.requests(rows) * rows.mean_image_tokens
        shared_prompt = math.hypot(self.error.prompt, error.prompt) * text * weights.prompt
        shared_answer = math.hypot(self.error.answer, error.answer) * total.answer * weights.answer
        variance = shared_prompt**2 + shared_answer**2
        variance += (count * weights.dot(self.slope)) ** 2 * rows.variance_of_mean
        each = self._row_tokens(rows.mean_bytes, rows.mean_image_tokens)
        again = weights.dot(Tokens(each.prompt + self.further_prompt, self.further_answer or each.answer))
        variance += again**2 * (count**2 * self.further_variance + count * self.further)
        if self.is_learnt:
            of_prompt, of_answer, of_both = self.scatter
            scatter = weights.prompt**2 * of_prompt + weights.answer**2 * of_answer
            scatter += 2 * weights.prompt * weights.answer * of_both
            distance = rows.mean_bytes - self.mean_bytes
            lever = 1 / self.answers + (distance**2 / self.bytes_spread if self.bytes_spread else 0.0)
            variance += max(0.0, scatter) * (count**2 * lever + count)
        return math.sqrt(variance)

    def range_of(self, middle: float, rows: Rows, weights: Tokens, error: Tokens = NO_ERROR) -> Range:
        """Return the 90% interval of the weighted sum of all tokens of the rows, with this middle.

        `error` is as in `deviation`.
        """
        tail = rows.count * self._tail(weights.answer**3 * self.skew, weights.answer**2 * self.scatter[1])
        return self._interval(middle, self.deviation(rows, weights, error), tail)

    def with_answers(self, answers: int) -> TokenModel:
        """Return about what would be learnt from `answers`."""
        ratio = answers / self.answers
        variance = self.further_variance / ratio
        return replace(self, answers=answers, bytes_spread=self.bytes_spread * ratio, further_variance=variance)

    def _interval(self, middle: float, deviation: float, tail: float = 0.0) -> Range:
        """Return the 90% interval around a total with this standard deviation; `tail` is added above.

        It is one of logarithms: totals of answers are skewed, and none is negative.
        """
        if middle <= 0:
            return Range(middle, middle, middle)
        up = self._quantile * deviation / middle
        return Range(middle, middle / math.exp(up), middle * math.exp(up + tail / middle))

    def _tail(self, skew: float, variance: float) -> float:
        """Return what a long tail adds to the upper bound of a mean of values with this third moment and variance.

        A few answers seldom hold one of the longest, and then their mean and their scatter are both too small. This is
        the term by which the skewness moves a quantile of Student's t (P. Hall: On the removal of skewness by
        transformation, 1992).
        """
        if not self.is_learnt or skew <= 0 or variance <= 0:
            return 0.0
        skew = min(skew, _MOST_SKEW * variance**1.5)  # a few answers don't show more
        return skew / variance * (1 + 2 * self._quantile**2) / (6 * self.answers)

    @property
    def _quantile(self) -> float:
        """The quantile of Student's t, by its expansion around the normal distribution (Abramowitz, Stegun 26.7.5)."""
        freedom = self.answers - 2
        if freedom <= 0:
            return _Z
        first = (_Z**3 + _Z) / 4
        second = (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / 96
        third = (3 * _Z**7 + 19 * _Z**5 + 17 * _Z**3 - 15 * _Z) / 384
        return _Z + first / freedom + second / freedom**2 + third / freedom**3

    def minutes(
        self, rows: Rows, threads: int, requests_per_minute: float | None, tokens_per_minute: float | None
    ) -> Range:
        """Return the minutes for all rows with `threads` requests in flight, within limits per minute if given."""
        requests, tokens = self.requests(rows), sum(self.total(rows))
        busy = self._busy_seconds(requests, threads) / 60
        limited = max(
            requests / requests_per_minute if requests_per_minute else 0.0,
            tokens / tokens_per_minute if tokens_per_minute else 0.0,
        )
        if limited > busy:
            of_tokens = self.deviation(rows, Tokens(1, 1)) / tokens
            return self._interval(limited, limited * math.hypot(of_tokens, _LEARNT_TIME))
        of_requests = math.sqrt(self.further_variance) / (1 + self.further)
        tail = busy * self._tail(self.seconds_skew, self.seconds_spread**2)
        return self._interval(busy, busy * math.hypot(of_requests, self._seconds_error(requests)), tail)

    def _busy_seconds(self, requests: float, threads: int) -> float:
        """Return the seconds for requests with `threads` in flight.

        The first request is alone in flight, and at the end the other places wait for the last.
        """
        if requests <= 1:
            return requests * self.seconds
        if requests <= threads:
            return self.seconds + self.slowest
        return self.seconds + requests * self.seconds / threads + (1 - 1 / threads) * self.slowest / 2

    def _seconds_error(self, requests: float) -> float:
        """Return the relative standard deviation of the seconds of all requests."""
        if not self.is_learnt:
            return _ESTIMATED_TIME
        return math.hypot(self.seconds_spread * math.sqrt(1 / self.answers + 1 / max(1.0, requests)), _LEARNT_TIME)


def fit(answered: Sequence[AnsweredRow], answer_tokens: float | None = None, max_further: int = 1) -> TokenModel:
    """Learn from answered rows; estimate if they are fewer than `MIN_ANSWERS`.

    `answer_tokens` is what an answer in the in-context examples has, None if there is none. `max_further` is how many
    further answers a row may get.
    """
    if len(answered) < MIN_ANSWERS:
        return _estimate(answer_tokens, max_further)
    sizes = [float(row.size.text_bytes) for row in answered]
    mean_bytes = fmean(sizes)
    spread = sum((size - mean_bytes) ** 2 for size in sizes)
    prompts = [row.first.prompt - row.size.image_tokens for row in answered]
    answers = [row.first.answer for row in answered]
    mean = Tokens(fmean(prompts), fmean(answers))
    slope = Tokens(*(_slope(values, sizes, mean_bytes, spread) for values in (prompts, answers)))
    off = [size - mean_bytes for size in sizes]
    off_prompts = [each - mean.prompt - slope.prompt * by for each, by in zip(prompts, off, strict=True)]
    off_answers = [each - mean.answer - slope.answer * by for each, by in zip(answers, off, strict=True)]
    seconds = [row.seconds for row in answered]
    mean_seconds = max(1e-9, fmean(seconds))
    further, variance, more_prompt, more_answer = _further(answered, mean, max_further)
    return TokenModel(
        answers=len(answered),
        mean=mean,
        slope=slope,
        mean_bytes=mean_bytes,
        bytes_spread=spread,
        scatter=_scatter(off_prompts, off_answers),
        skew=fmean(each**3 for each in off_answers),
        error=_LEARNT_ERROR,
        further=further,
        further_variance=variance,
        further_prompt=more_prompt,
        further_answer=more_answer,
        seconds=mean_seconds,
        seconds_spread=stdev(seconds) / mean_seconds,
        seconds_skew=fmean((each / mean_seconds - 1) ** 3 for each in seconds),
        slowest=max(seconds),
    )


def _scatter(prompts: Sequence[float], answers: Sequence[float]) -> tuple[float, float, float]:
    """Return the variances of the residuals of two lines, and their covariance."""
    freedom = len(prompts) - 2
    return (
        sum(each**2 for each in prompts) / freedom,
        sum(each**2 for each in answers) / freedom,
        sum(prompt * answer for prompt, answer in zip(prompts, answers, strict=True)) / freedom,
    )


def _slope(values: Sequence[float], sizes: Sequence[float], mean_bytes: float, spread: float) -> float:
    return (
        sum((size - mean_bytes) * value for size, value in zip(sizes, values, strict=True)) / spread if spread else 0.0
    )


def _further(answered: Sequence[AnsweredRow], mean: Tokens, max_further: int) -> tuple[float, float, float, float]:
    """Return the further answers per row, the variance of that, and the tokens of one as in `TokenModel`.

    A few rows without any do not show that there are none, so what is assumed counts like `_PRIOR_ROWS` more rows.
    """
    asked_again = [row for row in answered if row.further]
    more_prompt, more_answer = mean.answer + _CORRECTION_TOKENS, mean.answer
    if len(asked_again) >= 3:
        more_prompt = fmean(row.further_tokens.prompt - row.first.prompt for row in asked_again)
        more_answer = fmean(row.further_tokens.answer for row in asked_again)
    if not max_further:
        return 0.0, 0.0, more_prompt, more_answer
    rows = len(answered) + _PRIOR_ROWS
    rate = (sum(row.further for row in asked_again) + _PRIOR_FURTHER) / rows
    return rate, rate / rows, more_prompt, more_answer


def _estimate(answer_tokens: float | None, max_further: int) -> TokenModel:
    rate = _PRIOR_FURTHER / _PRIOR_ROWS if max_further else 0.0
    answer = TYPICAL_ANSWER_TOKENS if answer_tokens is None else answer_tokens
    seconds = _TYPICAL_WAIT + answer / _TYPICAL_SPEED
    return TokenModel(
        answers=0,
        mean=Tokens(0.0, answer),
        slope=Tokens(1 / BYTES_PER_TOKEN, 0.0),
        mean_bytes=0.0,
        bytes_spread=0.0,
        scatter=(0.0, 0.0, 0.0),
        skew=0.0,
        error=_GUESSED_ERROR if answer_tokens is None else _ESTIMATED_ERROR,
        further=rate,
        further_variance=rate**2,
        further_prompt=0.0,
        further_answer=0.0,
        seconds=seconds,
        seconds_spread=0.0,
        seconds_skew=0.0,
        slowest=seconds,
    )
