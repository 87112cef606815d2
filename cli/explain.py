"""`portal explain`: what the portal lets a customer do with a subscription, for the terminal or as JSON."""

import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table

from cli.terminal import Format, Language, is_subscription_id, literal, noon, print_json, zone
from shared.errors import InvalidRequest, sentence
from shared.i18n import ENGLISH, Message, _
from shared.portal.explain import (
    ACCESS_LABEL,
    METHODS_SOURCE,
    PROBLEMS_LABEL,
    SUPPORT_LABELS,
    ExplainedSubscription,
    methods_title,
    problem_line,
    unread_text,
    verdict,
)
from shared.portal.explain import explain as explained
from shared.portal.facts import Answer
from shared.portal.payment_methods import support_in
from shared.portal.rules import Problem
from shared.portal.which_configuration import ConfigurationChoice

if TYPE_CHECKING:
    from cli.deployment import Deployment


def explained_as_json(found: ExplainedSubscription, language: str) -> dict[str, Any]:
    """Return everything for programs, with a stable code beside each text."""
    facts = found.explanation.facts
    return {
        "subscription": facts.subscription.id,
        "customer": facts.subscription.customer_id,
        "configuration": found.configuration_id,
        "group": found.group,
        "as_of": facts.now.isoformat(),
        "summary": found.explanation.summary.say(language),
        "answers": [_answer(each, language) for each in found.explanation.answers],
        "access": found.explanation.access.say(language),
        "problems": [_problem(each, language) for each in found.problems],
        "country": found.explanation.country,
        "payment_methods": {each.type: support.value for each, support in found.explanation.payment_methods},
        "unread": list(found.unread),
    }


def explained_as_text(found: ExplainedSubscription, language: str) -> Group:
    """Write the summary, each question with its answer, the problems and the payment methods."""
    facts = found.explanation.facts
    head = f"[bold]{literal(facts.subscription.id)}[/bold] ({literal(facts.subscription.customer_id)})"
    return Group(
        head,
        literal(_heading(found).say(language)),
        f"\n[bold]{literal(found.explanation.summary.say(language))}[/bold]",
        *(line for each in found.explanation.answers for line in _lines(each, language)),
        f"\n[bold]{ACCESS_LABEL.say(language)}[/bold]",
        Padding(literal(found.explanation.access.say(language)), (0, 2)),
        *_problem_lines(found.problems, language),
        "",
        _payment_methods(found.explanation.country, language),
        *(literal(unread_text(each).say(language)) for each in found.unread),
    )


def _answer(each: Answer, language: str) -> dict[str, Any]:
    return {
        "topic": each.topic,
        "possible": each.possible,
        "reasons": [
            {
                "code": reason.code,
                "why": reason.why.say(language),
                "lifted_by": reason.lifted_by.say(language) if reason.lifted_by else None,
            }
            for reason in each.reasons
        ],
        "notes": [note.say(language) for note in each.notes],
    }


def _problem(each: Problem, language: str) -> dict[str, str]:
    return {
        "code": each.code,
        "severity": each.severity,
        "message": each.message.say(language),
        "fix": each.fix.say(language),
    }


def _problem_lines(problems: Sequence[Problem], language: str) -> Iterator[Any]:
    if problems:
        yield f"\n[bold]{PROBLEMS_LABEL.say(language)}[/bold]"
    for each in problems:
        yield Padding(literal(problem_line(each).say(language)), (0, 2))
        yield Padding(f"[dim]->[/dim] {literal(each.fix.say(language))}", (0, 4))


def _heading(found: ExplainedSubscription) -> Message:
    day = found.explanation.facts.now.date()
    group = f" ({found.group})" if found.group else ""
    configuration = f"{found.configuration_id}{group}"
    return _("The portal as of {day}, configuration {configuration}", day=day, configuration=configuration)


def _lines(each: Answer, language: str) -> Iterator[Any]:
    colour = "green" if each.possible else "yellow"
    yield f"\n[bold {colour}]{literal(verdict(each).say(language))}[/bold {colour}]"
    for reason in each.reasons:
        yield Padding(literal(reason.why.say(language)), (0, 2))
        if reason.lifted_by:
            yield Padding(f"[dim]->[/dim] {literal(reason.lifted_by.say(language))}", (0, 4))
    for note in each.notes:
        yield Padding(literal(note.say(language)), (0, 2))


def _payment_methods(country: str | None, language: str) -> Group:
    table = Table(box=None, show_header=False, padding=(0, 2))
    for each, support in support_in(country):
        note = f" ({each.note.say(language)})" if each.note else ""
        table.add_row(each.type, literal(each.name.say(language) + note), SUPPORT_LABELS[support].say(language))
    title = f"[bold]{literal(methods_title(country).say(language))}[/bold]"
    return Group(title, table, Padding(literal(METHODS_SOURCE.say(language)), (0, 2)))


app = typer.Typer()


@app.command()
def explain(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    subscription: Annotated[
        str | None, typer.Argument(help="The Stripe subscription, sub_...; may be left out with --country.")
    ] = None,
    *,
    as_of: Annotated[str | None, typer.Option(help="The date of the portal, YYYY-MM-DD (default: now).")] = None,
    group: Annotated[str | None, typer.Option(help="A group of PORTAL_CONFIGURATIONS.")] = None,
    configuration: Annotated[str | None, typer.Option(help="Use this portal configuration, bpc_...")] = None,
    country: Annotated[
        str | None, typer.Option(help="The country of the Stripe account, two letters (default: read from Stripe).")
    ] = None,
    format: Format = "text",  # noqa: A002
    language: Language = ENGLISH,
) -> None:
    """Explain what the portal lets a customer do.

    Says of one subscription what is possible, why not more, and what would lift it.

    With --country and no subscription: list the payment methods that the portal supports there.
    """
    if country and not re.fullmatch("[A-Za-z]{2}", country):
        raise InvalidRequest(
            "bad_country", sentence("{country} is no country: write two letters, such as FR", country=repr(country))
        )
    if subscription is None and country:
        if format == "json":
            methods = {each.type: support.value for each, support in support_in(country)}
            print_json(country=country.upper(), payment_methods=methods)
        else:
            Console().print(_payment_methods(country, language))
        return
    if subscription is None or not is_subscription_id(subscription):
        raise InvalidRequest(
            "no_subscription",
            sentence("Name a subscription, such as sub_123; `portal show cus_...` lists those of a customer")
            if subscription is None
            else sentence(
                "{subscription} is not a subscription: write one like sub_123; `portal show cus_...` lists those of a "
                "customer",
                subscription=repr(subscription),
            ),
        )
    deployment: Deployment = context.obj()
    moment = noon(as_of, zone("UTC")) if as_of else datetime.fromtimestamp(deployment.clock or time.time(), UTC)
    choice = ConfigurationChoice(deployment.portal_configurations, group, configuration, country)
    found = explained(
        deployment.stripe, subscription, moment, choice, allow_verified_email=deployment.allow_verified_email
    )
    if format == "json":
        print_json(**explained_as_json(found, language))
    else:
        Console().print(explained_as_text(found, language))
