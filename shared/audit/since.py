"""Since when collection is paused: Stripe does not say, the mirror remembers."""

from shared.mirror_table import MirrorTable


def collection_paused_since(table: MirrorTable) -> dict[str, int]:
    """Subscription id to the Unix second by which its collection was paused, as early as the mirror knows.

    Raises `Unavailable` when the table cannot be read.
    """
    return {
        mirrored.subscription.id: mirrored.paused_since
        for mirrored in table.paused("collection")
        if mirrored.paused_since is not None
    }
