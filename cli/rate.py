"""The option that holds a command back, so that it leaves Stripe's limits to the live traffic."""

from typing import Annotated

import typer

from shared.rate_limit import MOST_PER_SECOND

Rate = Annotated[
    float,
    typer.Option("--requests-per-second", min=0.1, max=MOST_PER_SECOND, help="At most so many requests to Stripe."),
]
