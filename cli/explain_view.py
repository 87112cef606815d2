"""An explained subscription for the terminal, or as JSON for programs."""

import json
from collections.abc import Iterator
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from shared.audit.text import Language, Text, format_date
from shared.portal_rules import words
from shared.portal_rules.answer import Answer
from shared.portal_rules.reading import Explained


def as_json(found: Explained, language: Language) -> str:
    """Stable codes beside the words."""
    facts = found.explanation.facts
    return json.dumps(
        {
            "subscription": facts.subscription.id,
            "customer": facts.subscription.customer_id,
            "configuration": found.configuration_id,
            "group": found.group,
            "as_of": facts.now.isoformat(),
            "summary": found.explanation.summary.say(language),
            "answers": [_answer(each, language) for each in found.explanation.answers],
            "access": found.explanation.access.say(language),
            "country": found.explanation.country,
            "payment_methods": {each.type: support.value for each, support in found.explanation.payment_methods},
            "unread": list(found.unread),
        },
        ensure_ascii=False,
        indent=2,
    )


def as_text(found: Explained, language: Language) -> Group:
    """The sentence that matters, each question with its answer, and the payment methods."""
    facts = found.explanation.facts
    head = f"[bold]{escape(facts.subscription.id)}[/bold] ({escape(facts.subscription.customer_id)})"
    return Group(
        head,
        escape(_looked_at(found).say(language)),
        f"\n[bold]{escape(found.explanation.summary.say(language))}[/bold]",
        *(line for each in found.explanation.answers for line in _lines(each, language)),
        f"\n[bold]{words.ACCESS.say(language)}[/bold]",
        Padding(escape(found.explanation.access.say(language)), (0, 2)),
        f"\n[bold]{escape(words.methods_title(found.explanation.country).say(language))}[/bold]",
        _methods(found, language),
        Padding(escape(words.METHODS_SOURCE.say(language)), (0, 2)),
        *(escape(words.unread(each).say(language)) for each in found.unread),
    )


def _answer(each: Answer, language: Language) -> dict[str, Any]:
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


def _looked_at(found: Explained) -> Text:
    day = found.explanation.facts.now.date()
    group = f" ({found.group})" if found.group else ""
    return Text(
        f"The portal as of {format_date(day)}, configuration {found.configuration_id}{group}",
        f"Le portail au {format_date(day, 'fr')}, configuration {found.configuration_id}{group}",
    )


def _lines(each: Answer, language: Language) -> Iterator[Any]:
    colour = "green" if each.possible else "yellow"
    yield f"\n[bold {colour}]{escape(words.verdict(each).say(language))}[/bold {colour}]"
    for reason in each.reasons:
        yield Padding(escape(reason.why.say(language)), (0, 2))
        if reason.lifted_by:
            yield Padding(f"[dim]->[/dim] {escape(reason.lifted_by.say(language))}", (0, 4))
    for note in each.notes:
        yield Padding(escape(note.say(language)), (0, 2))


def _methods(found: Explained, language: Language) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2))
    for each, support in found.explanation.payment_methods:
        note = f" ({each.note.say(language)})" if each.note else ""
        table.add_row(each.type, escape(each.name.say(language) + note), words.SUPPORT[support].say(language))
    return table
