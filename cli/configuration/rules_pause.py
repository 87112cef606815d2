"""What `portal lint` knows of pausing: the form of before 2024, its date, and today's with its version and limits."""

from collections.abc import Iterator
from datetime import date

from cli.configuration.features import Features, PauseDuration, PauseOption
from cli.configuration.normal import SINCE
from cli.configuration.problems import Path, Problem, Severity
from shared.audit.text import count, format_date
from shared.pause import PAUSE_BUTTON_REMOVED_ON, PAUSE_CUTOFF_ON, Phase, days_until, phase_on

RETURNED_IN = SINCE["features.subscription_pause"]
# Three years, in each unit.
LONGEST = {"day": 3 * 365, "week": 3 * 52, "month": 3 * 12, "year": 3}


def pause_problems(features: Features, version: str, path: Path, today: date) -> Iterator[Problem]:
    """Answer what is wrong with `features.subscription_pause`, if the file says it."""
    pause, path = features.subscription_pause, (*path, "subscription_pause")
    if "subscription_pause" not in features.model_fields_set:
        return
    if version < RETURNED_IN:
        yield Problem(
            "pause_version", path, _not_yet(version, today), f"Take it out, or raise api_version to {RETURNED_IN}."
        )
    elif pause.enabled and pause.duration is None:
        mend = (
            "Say how long: `duration: {type: interval_options, interval_options: [{interval: month}]}`, or take it out."
        )
        yield Problem("old_pause_form", path, f"This is the old form. {what_it_means(today)}", mend)
    if pause.duration:
        yield from _durations(pause.duration, (*path, "duration"))


def what_it_means(today: date) -> str:
    """Say what Stripe's calendar of the old portal button makes of the old form on a day."""
    cutoff = format_date(PAUSE_CUTOFF_ON)
    match phase_on(today, button_removed_on=PAUSE_BUTTON_REMOVED_ON, cutoff_on=PAUSE_CUTOFF_ON):
        case Phase.BUTTON_AVAILABLE:
            removed = format_date(PAUSE_BUTTON_REMOVED_ON)
            return f"Its button goes on {removed}, and from {cutoff} sending it is an error: update this before then."
        case Phase.RESUME_ONLY:
            left = count(days_until(PAUSE_CUTOFF_ON, today), "day")
            return f"It only lets customers resume, until {cutoff} ({left} left); then sending it is an error."
        case Phase.STRANDED:
            return f"Since {cutoff} it neither pauses nor resumes, and sending it may be an error."


def _not_yet(version: str, today: date) -> str:
    return f"API {version} does not know subscription_pause; it came back with {RETURNED_IN}. {what_it_means(today)}"


def _durations(duration: PauseDuration, path: Path) -> Iterator[Problem]:
    at = (*path, "interval_options")
    if duration.type == "interval_options" and not duration.interval_options:
        yield Problem("no_pause_options", path, "There is no span to choose.", "List some: `- {interval: month}`.")
    if duration.type == "indefinite" and duration.interval_options:
        yield Problem("indefinite_options", at, "An indefinite pause has no spans to choose.", "Take them out.")
    seen: set[PauseOption] = set()
    for position, option in enumerate(duration.interval_options):
        if option.interval_count > LONGEST[option.interval]:
            message = f"{option.interval_count} {option.interval}s are more than three years, Stripe's longest pause."
            mend = f"At most {LONGEST[option.interval]} {option.interval}s."
            yield Problem("pause_too_long", (*at, position), message, mend)
        if option in seen:
            message = "This span stands here twice."
            yield Problem("span_twice", (*at, position), message, "Keep one.", Severity.WARNING)
        seen.add(option)
