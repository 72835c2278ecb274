"""What is searched for when a question leans on the conversation before it: "And for the warehouse?".

Such a question is searched for twice: as it stands, and together with the one before it. The better of its two scores
counts for each passage, so that a wrong guess costs a search, not an answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from .analyser import terms, words

#: Turns of the user that may stand together.
MOST_TURNS = 3
#: A question with so few terms of its own says too little to stand alone; one that refers back may have some more.
FEW_TERMS, SOME_TERMS = 2, 8
#: Words that begin a question which goes on from another: and, but, or, so, also, then.
_GO_ON = frozenset(
    """
    and but or so also then und aber oder auch dann et mais ou aussi alors y pero o también
    """.split()  # noqa: SIM905  a paragraph reads better than a column
)
#: Words that stand for something said before.
_REFER = frozenset(
    """
    it its they them their theirs he him his she her hers this that these those there one ones same former latter else
    er ihn ihm ihr ihre ihren ihnen sie es dessen deren dies diese diesem diesen dieser dieses dort davon dafür dazu
    dabei damit darauf daran darin hierfür il elle ils elles lui leur leurs cela ça ceci celui celle ceux celles
    él ella ellos ellas eso esto esa ese estos esos esas aquello allí esso essa isto isso ele ela eles elas lo quello
    """.split()  # noqa: SIM905  a paragraph reads better than a column
)


def standalone(turns: Sequence[str]) -> list[str]:
    """The questions to search for, given what a user has said, the last turn last: that one, and where it leans on
    those before it, all that belong together as one more. [] without a turn.
    """
    if not turns:
        return []
    first = len(turns) - 1
    while first > 0 and len(turns) - first < MOST_TURNS and leans(turns[first]):
        first -= 1
    together = "\n".join(turn.strip() for turn in turns[first:])
    return [turns[-1]] if first == len(turns) - 1 else [turns[-1], together]


def leans(text: str) -> bool:
    """Whether a question needs the one before it to be understood."""
    said, count = words(text), len(terms(text))
    if not said or count <= FEW_TERMS:
        return True
    return count <= SOME_TERMS and (said[0] in _GO_ON or not _REFER.isdisjoint(said))
