"""A short list of English function words, for machines without NLTK's `stopwords` corpus.

It stands in for that corpus so that recipes which protect stop words can run; the two lists are not equal,
so results obtained with one must not be mixed with the other (each result line names its list).
"""

from __future__ import annotations

_GROUPS = {
    "articles and determiners": "a an the this that these those some any each every either neither no both "
    "all such same other another few more most own",
    "pronouns": "i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his "
    "himself she her hers herself it its itself they them their theirs themselves one",
    "question words": "who whom whose which what when where why how",
    "auxiliaries": "be am is are was were been being have has had having do does did doing will would shall "
    "should can could may might must",
    "prepositions": "of in on at by for from to into onto with without within about against between among "
    "through during before after above below over under up down out off upon",
    "conjunctions": "and but or nor so if because as than until while though although since unless whether",
    "adverbs": "not only just too very again then once here there now also further",
    "contracted": "don't doesn't didn't isn't aren't wasn't weren't hasn't haven't hadn't won't wouldn't "
    "can't couldn't shouldn't mustn't it's he's she's that's i'm i've i'll i'd you're you've you'll we're "
    "we've they're they've they'll s t d ll m re ve",
}

ENGLISH: tuple[str, ...] = tuple(word for words in _GROUPS.values() for word in words.split())
