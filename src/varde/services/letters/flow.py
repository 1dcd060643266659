"""The use cases of letters, one transaction each: the face of this service to its pages, jobs and other services.

Each stands in a file of its own idea; the rules they follow are `rules.py`'s.
"""

from __future__ import annotations

from varde.services.letters.changing import change, mark_returned, withdraw
from varde.services.letters.opening import archive, inbox, open_letter, paper_on_its_way, unread
from varde.services.letters.posting import post_unopened, print_letters
from varde.services.letters.sending import Batch, EmptyOrder, batch, send
from varde.services.letters.waiting import to_call
from varde.services.letters.worklist import attention, counts, letter, letters, problems

__all__ = [
    "Batch",
    "EmptyOrder",
    "archive",
    "attention",
    "batch",
    "change",
    "counts",
    "inbox",
    "letter",
    "letters",
    "mark_returned",
    "open_letter",
    "paper_on_its_way",
    "post_unopened",
    "print_letters",
    "problems",
    "send",
    "to_call",
    "unread",
    "withdraw",
]
