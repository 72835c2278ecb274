"""How much a text looks like one that wants to take a model over: weighted signs, for users' prompts and for what
documents and tools say.

A sign is an expression with a weight from 0 to 1, how sure it alone makes. Weights add up as doubts multiply
(1 - (1-a)(1-b)…), each sign once. Some signs are told by documents and tools only: a person may talk to the model, a
document may not. What was said by the policy's own side (system) is not judged.

These are heuristics: they find what looks like the attacks that are known, not what an attacker thinks of tomorrow.
`docs/reference/guardrails.md` says how often they are wrong.
"""

# ruff: noqa: E501  an expression reads better whole

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .pii.data import Source
from .pii.readings import folded, opaque_runs

#: How sure a sign is made by who says it. What nobody vouches for counts more.
TRUST: Final = {Source.DOCUMENT: 1.35, Source.TOOL: 1.35, Source.OTHER: 1.0, Source.USER: 1.0, Source.ASSISTANT: 0.5}
UNTRUSTED: Final = frozenset({Source.DOCUMENT, Source.TOOL})
#: A sign counts for no more than this, whoever says it.
SUREST: Final = 0.97
#: What is read of one text, from its beginning and from its end.
MOST_CHARACTERS: Final = 200_000


@dataclass(frozen=True, slots=True)
class Sign:
    """One expression. `untrusted`: it means something in documents and tool results only."""

    name: str
    weight: float
    pattern: re.Pattern[str]
    untrusted: bool = False


def _sign(name: str, weight: float, *expressions: str, untrusted: bool = False) -> Sign:
    return Sign(name, weight, re.compile("|".join(expressions), re.IGNORECASE), untrusted)


_BEFORE: Final = (
    r"(?:all\s|any\s|every\s|the\s|your\s|my\s|these\s|those\s|of\s|everything\s|and\s|\w{1,12}\s){0,5}?"
    r"(?:previous|prior|above|earlier|preceding|foregoing|former|original|initial|existing|system|safety|developer)\s"
    r"(?:\w{1,12}\s){0,2}?(?:instructions?|prompts?|rules?|directions?|directives?|guidelines?|commands?|polic(?:y|ies)|context|messages?)"
)
_MODEL: Final = r"(?:ai|a\.i\.|llm|language model|large language model|assistant|chat\s?bot|chatgpt|gpt|claude|gemini|copilot|model|agent)"

_MACHINE: Final = r"(?:ai|llm|language model|large language model|ai assistant|ai model|ai agent|chat\s?bot|chatgpt|gpt|claude|gemini|copilot)"

SIGNS: Final[tuple[Sign, ...]] = (
    _sign(
        "override",
        0.8,
        rf"\b(?:ignore|disregard|forget|override|bypass|neglect|skip|drop|discard|overrule|do not follow|don'?t follow|stop following)\s{_BEFORE}",
        r"\b(?:ignore|disregard|forget)\s(?:all\s)?(?:everything|anything|what)\s(?:you|i|we)\s?(?:'ve|have|were|was)?\s?(?:been\s)?(?:told|said|instructed|wrote|learned)",
        r"\b(?:ignore|disregard|forget)\s(?:all\s)?(?:of\s)?your\s(?:\w+\s)?(?:instructions|rules|guidelines|training|programming|directives)",
        r"\bignorier\w*\s(?:\w+\s){0,3}?(?:vorherige|bisherige|obige|vorangegangene|fruhere)\w*\s(?:\w+\s)?(?:anweisung|instruktion|regel|vorgabe)\w*",
        r"\bvergiss\s(?:\w+\s){0,3}?(?:anweisung|instruktion|regel|vorgabe|was dir)\w*",
        r"\b(?:ignore[zr]?|oublie[zr]?)\s(?:\w+\s){0,3}?(?:instructions|consignes|regles)(?:\s\w+){0,2}?\s(?:precedentes|anterieures|ci-dessus)",
        r"\b(?:ignora|olvida|ignore)\s(?:\w+\s){0,3}?(?:instrucciones|reglas|instrucoes|regras)\s(?:anteriores|previas|acima)",
        r"\bignora\s(?:\w+\s){0,2}?istruzioni\s(?:precedenti|sopra)",
        r"(?:忽略|无视|忘记|忘掉)(?:之前|以上|上面|先前|你)?(?:的)?(?:所有)?(?:指令|指示|说明|规则|提示)",
        r"игнорируй\w*\s(?:\w+\s){0,3}?(?:предыдущ|прежн|выше)\w*",
        r"(?:前|以前|上記|これまで)の(?:すべての)?(?:指示|命令|ルール)を(?:無視|忘れ)",
    ),
    _sign(
        "reveal",
        0.62,
        r"\b(?:reveal|print|show|repeat|output|display|tell|give|disclose|leak|dump|share|paste|recite|write out|summari[sz]e|translate|encode|what (?:is|are|was|were))\b[^.\n]{0,40}"
        r"(?:system|hidden|initial|original|secret|internal|developer|pre)[\s-]?(?:prompt|instructions?|message|rules|directives?|configuration)",
        r"\b(?:reveal|print|repeat|output|disclose|leak|dump|recite)\b[^.\n]{0,25}\byour\s(?:\w+\s)?(?:prompt|instructions|rules|configuration)",
        r"\brepeat\s(?:everything|all|the (?:words|text))\s(?:\w+\s){0,3}?(?:above|before|verbatim)",
        r"\b(?:zeige?|nenne|verrate|gib)\b[^.\n]{0,30}(?:system-?\s?prompt|systemanweisung|versteckte\w*\sanweisung)\w*",
        r"(?:显示|输出|告诉我|透露)[^。\n]{0,10}(?:系统提示|系统指令|提示词)",
    ),
    _sign(
        "unbound role",
        0.72,
        r"\byou\s(?:are|will be|will act as|become)\s(?:now\s)?(?:in\s)?(?:an?\s|the\s)?(?:\w+\s){0,3}?(?:dan\b|unrestricted|unfiltered|uncensored|jailbroken|jailbreak|amoral|evil|unaligned|developer mode|god mode|sudo mode|root mode)",
        r"\b(?:act|behave|respond|answer|pretend|roleplay|role-play|simulate|imagine)\b[^.\n]{0,40}\b(?:unrestricted|unfiltered|uncensored|(?:no|without) (?:any )?(?:\w+ )?(?:restrictions|rules|limits|filters|guidelines|ethics|censorship|safety|constraints))",
        r"\bdo anything now\b|\bDAN mode\b|\bjailbreak(?:ed)? mode\b|\bdeveloper mode (?:enabled|activated|output)",
    ),
    _sign(
        "special mode",
        0.4,
        r"\b(?:enable|enter|activate|switch to|turn on)\s(?:\w+\s){0,2}?(?:developer|god|sudo|admin|debug|dan|jailbreak|unrestricted|maintenance)\smode",
    ),
    _sign(
        "no refusal",
        0.45,
        r"\b(?:never|not|cannot|can'?t|must not|may not|don'?t|do not|won'?t|without ever)\s(?:\w+\s)?(?:refuse|refusing|decline|break(?:ing)? character|say (?:no|you can'?t|that you can'?t)|apologi[sz]e|warn me|add (?:any )?(?:warnings?|disclaimers?))",
        r"\bno (?:moral|ethical|legal|content|safety)\s(?:\w+\s)?(?:guidelines|rules|constraints|restrictions|polic(?:y|ies)|filters|limits)",
        r"\bstay in character\b|\bas an? (?:evil|immoral|unethical|malicious)\b",
    ),
    _sign(
        "filters off",
        0.5,
        r"\b(?:turn off|disable|remove|switch off|deactivate|lift)\b[^.\n]{0,25}\b(?:safety|content|ethic\w*|moderation|guardrails?|filters?|restrictions|safeguards)\b",
        r"\b(?:hate|harm|violence|weapons?|illegal\w*)\b[^.\n]{0,30}\bis (?:allowed|permitted|fine|ok) (?:here|now)\b",
    ),
    _sign(
        "new orders",
        0.62,
        r"(?:^|\n|[.!\]])\s*(?:new|updated|real|actual|true|latest|revised|urgent|important)\s(?:\w+\s)?(?:instructions?|directives?|system prompt)\s?(?:for\s[^:\n]{1,40})?:",
        r"\b(?:end|start|begin) of (?:system\s)?(?:prompt|instructions|conversation|context|document|data)\b\W*(?:\n|$|now|new|begin|start|user|system)",
        r"\byour (?:new|real|true|actual) (?:task|goal|instructions?|purpose|role|objective) (?:is|are)\b",
        r"\bneue\s(?:anweisung|aufgabe|instruktion)\w*\s?:|\bab (?:jetzt|sofort)\s(?:bist|antwortest|ignorierst)\sdu\b",
    ),
    _sign(
        "from now on",
        0.3,
        r"\bfrom now on,? (?:you|your|ignore|answer|respond|always|never|act)\b",
    ),
    _sign(
        "forged turn",
        0.6,
        r"<\|?(?:im_start|im_end|system|endoftext|start_header_id|eot_id|assistant|user)\|?>",
        r"\[/?(?:INST|SYSTEM|SYS)\]|<<\s?/?SYS\s?>>",
        r"(?:^|\n)\s*#{2,4}\s*(?:system|instruction|assistant)s?\s*:?\s*(?:\n|$)",
        r"</?(?:system|system_prompt|admin|developer)(?:[\s_-]?(?:message|instructions?|override))?>",
    ),
    _sign(
        "forged role",
        0.42,
        r"(?:^|\n)\s*(?:system|assistant|developer|human)\s*:\s*\S",
        untrusted=True,
    ),
    _sign(
        "said to the model",
        0.6,
        rf"\b(?:if you(?:'re| are)|attention|note (?:to|for)|dear|hey|hello|message (?:to|for)|instructions? (?:to|for)|important for|when (?:the|an?|any)|any)\s(?:an?\s|the\s|any\s|all\s)?(?:\w+\s)?{_MODEL}s?\b[^.\n]{{0,60}}\b(?:must|should|reading|processing|summari[sz]ing|please|you|do|always|respond|ignore|recommend|include|send|reply|add|instead|say)",
        rf"\b(?:this {_MODEL}|the {_MACHINE}) (?:must|shall|should now|will now|is (?:required|instructed|ordered) to)\b",
        rf"\b(?:as an? {_MODEL}|{_MODEL}),? you (?:must|should|are (?:required|instructed|now))\b",
        untrusted=True,
    ),
    _sign(
        "behind the user's back",
        0.62,
        r"\b(?:do not|don'?t|never|without)\s(?:\w+\s)?(?:tell(?:ing)?|inform(?:ing)?|mention(?:ing)?|alert(?:ing)?|reveal(?:ing)?|notify(?:ing)?|show(?:ing)?|asking|warn(?:ing)?)\b[^.\n]{0,30}\b(?:the |this )?(?:user|human|reader)\b",
        r"\b(?:secretly|silently|covertly|quietly)\s(?:\w+\s)?(?:send|forward|include|add|insert|execute|call|delete|transfer|email|upload)",
        untrusted=True,
    ),
    _sign(
        "carrying picture",
        0.6,
        r"!\[[^\]\n]{0,80}\]\(\s*https?://[^)\s]{1,200}[?&][\w-]{1,30}=[^)\s]{0,80}(?:\{|\[|<|%7b|data|secret|history|prompt)",
        untrusted=True,
    ),
    _sign(
        "carrying off",
        0.42,
        r"\b(?:send|post|forward|email|upload|exfiltrate|transmit|leak|append|submit|bcc)\b[^.\n]{0,80}\b(?:conversation|chat history|system prompt|api[ _-]?keys?|passwords?|credentials?|secrets?|all (?:the )?(?:data|files|e-?mails|messages)|everything (?:above|you know)|user'?s? (?:data|details|e-?mails?|address))\b[^.\n]{0,60}(?:https?://|\bto\b|@)",
        untrusted=True,
    ),
    _sign(
        "ordering tools",
        0.4,
        r"\b(?:call|invoke|use|run|execute)\s(?:the\s|this\s)?(?:\w+\s)?(?:tool|function|command|shell|api|plugin)\b[^.\n]{0,60}\b(?:with|to|immediately|now|before|instead)",
        r"\b(?:before|instead of|rather than)\s(?:you\s)?(?:answer|respond|summari[sz]|reply|do)\w*[^.\n]{0,40}\b(?:first|you must|call|send|run|execute|delete|transfer)\b",
        untrusted=True,
    ),
    _sign(
        "disguise",
        0.45,
        r"\b(?:decode|decrypt|rot-?13|base64|reverse|unscramble)\b[^.\n]{0,60}\b(?:and|then)\b[^.\n]{0,25}\b(?:follow|execute|obey|do what|carry out|comply|answer it|run)\b",
        r"\b(?:hypothetical|fictional)\b[^.\n]{0,60}\b(?:no (?:rules|laws|limits|restrictions)|without (?:rules|laws|limits|restrictions)|anything is (?:allowed|permitted))",
        r"\bgrand(?:ma|mother|pa|father)\b[^.\n]{0,120}\b(?:napalm|explosive|serial|licen[cs]e key|windows key|recipe for)",
        r"\b(?:opposite|backwards?) (?:day|mode)\b[^.\n]{0,60}\b(?:refuse|rules|safety)",
    ),
    _sign(
        "mere insistence",
        0.2,
        r"\byou must (?:now )?(?:comply|obey)\b|\bthis is an order\b|\bi am (?:your|the) (?:developer|creator|administrator|admin)\b",
        r"\b(?:openai|anthropic|google)\b[^.\n]{0,30}\b(?:allows|permits|authori[sz]e[sd]?|approved)\b",
        r"\bfor (?:educational|research|testing) purposes only\b",
        r"\brespond (?:only )?(?:with )?['\"]?(?:yes|confirmed|access granted|pwned|hacked)\b",
    ),
)


def score(text: str, source: Source = Source.USER) -> tuple[float, list[str]]:
    """How sure it is that a text attacks, from 0 to 1, and the names of its signs, the weightiest first."""
    if source is Source.SYSTEM:
        return 0.0, []
    found = {sign.name: sign.weight for reading in _readings(text) for sign in _told(reading, source)}
    doubt = 1.0
    for weight in found.values():
        doubt *= 1 - min(SUREST, weight * TRUST[source])
    return round(1 - doubt, 4), sorted(found, key=lambda name: -found[name])


def _told(text: str, source: Source) -> Iterator[Sign]:
    for sign in SIGNS:
        if (source in UNTRUSTED or not sign.untrusted) and sign.pattern.search(text):
            yield sign


def _readings(text: str) -> Iterator[str]:
    """The text in plain characters, and what it hides in base64 or hex."""
    if len(text) > MOST_CHARACTERS:
        half = MOST_CHARACTERS // 2
        text = text[:half] + "\n" + text[-half:]
    plain = re.sub(r"[^\S\n]+", " ", folded(text))
    yield plain
    for _, _, hidden in opaque_runs(text):
        yield folded(hidden)
