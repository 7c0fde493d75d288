"""The settings of the chat: section `chat`."""

from typing import Annotated

from annotated_types import Ge, Le

from streamserver.config.section import Section
from streamserver.config.types import Unit


class ChatSettings(Section):
    """Messages among the people in the room; who may send and read them is said per room and per member."""

    enabled: bool = True
    """Whether there is a chat at all."""
    max_length: Annotated[int, Ge(1), Le(100_000), Unit("characters")] = 4000
    """Longest message; a longer one is refused."""
    rate: Annotated[float, Ge(0.1), Le(1000), Unit("messages/s")] = 2.0
    """How many messages one person may send in the long run (ten at once); what is more is dropped."""
