"""POST /v1/messages and /v1/messages/count_tokens: Anthropic's form to a Call, and an answer or an error back to it.

    system                -> a first message            tool_result -> a message of role `tool`
    text, image, document -> parts of a message         tool_use    -> `tool_calls` of an assistant's message
    thinking              -> `thinking_blocks` of an assistant's message, for vendors that know them

What is not Anthropic's and not ours is kept, scanned and passed on, as in every dialect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import orjson

from gateway.data import Call, Tokens
from gateway.errors import GatewayError, InvalidRequest
from gateway.providers.base import INTERNAL
from gateway.providers.tokens import count_messages, reported

from . import openai_chat
from .anthropic_blocks import Conversation, read_system
from .anthropic_events import MessagesForm, error_of, stop_reason, usage_of
from .reading import is_whole, read_object, refuse
from .search import retrieval

#: Fields that have another name or form in a Call; all others are taken over as they are.
_TRANSLATED: Final = frozenset(
    {
        *("messages", "system", "max_tokens", "stop_sequences", "tools", "tool_choice", "metadata", "output_config"),
        *("output_format", "retrieval", "cache_control"),
    }
)
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}
#: Budgets of thinking up to which an effort is meant, for vendors that know efforts only.
_EFFORTS: Final = ((2_048, "low"), (8_192, "medium"))
#: What a picture or a file is counted as: the most that Anthropic counts for a picture.
MEDIUM_TOKENS: Final = 1_600


def parse(raw: bytes, request_id: UUID, *, client_ip: str = "", traceparent: str = "") -> Call:
    """The call in a request body. Raises InvalidRequest, which names the field."""
    body = read_object(raw)
    most: Any = body.get("max_tokens")
    if not is_whole(most) or most < 1:
        raise refuse("max_tokens", "a whole number of at least 1")
    made, documents = _translated(body)
    made["max_tokens"] = most
    asked = body.get("retrieval")
    return Call(
        id=request_id,
        kind="chat",
        dialect="messages",
        model=made["model"],
        body=made,
        stream=bool(made.get("stream")),
        retrieval=None if asked is None else retrieval(asked, "retrieval."),
        documents=documents,
        client_ip=client_ip,
        traceparent=traceparent,
    )


def parse_count(raw: bytes, request_id: UUID) -> Call:
    """The call whose tokens are to be counted. Raises InvalidRequest."""
    made, documents = _translated(read_object(raw))
    return Call(id=request_id, kind="chat", dialect="messages", model=made["model"], body=made, documents=documents)


def counted(call: Call) -> dict[str, Any]:
    """How many tokens a call has: an estimate, as vendors differ."""
    media = 0
    messages = []
    for message in call.body["messages"]:
        content = message.get("content")
        if isinstance(content, list):
            kept = [part for part in content if part.get("type") not in openai_chat.MEDIA]
            media += len(content) - len(kept)
            message = {**message, "content": kept}
        messages.append(message)
    return {"input_tokens": count_messages({**call.body, "messages": messages}) + media * MEDIUM_TOKENS}


def plain(
    call: Call,
    body: Mapping[str, Any],
    citations: Sequence[Mapping[str, Any]] | None = None,
    tokens: Tokens | None = None,
) -> dict[str, Any]:
    """A whole answer as the client sees it; citations stand beside its content."""
    choices = body.get("choices") or [{}]
    message, finish = choices[0].get("message") or {}, choices[0].get("finish_reason") or ""
    content = _content(message, thinking=thinks(call))
    reason, sequence = stop_reason(finish, choices[0].get("stop_reason"), _stops(call))
    if reason == "end_turn" and any(block["type"] == "tool_use" for block in content):
        reason = "tool_use"  # some vendors end a tool call with `stop`
    answer: dict[str, Any] = {
        "id": answer_id(call.id),
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": content,
        "stop_reason": "refusal" if message.get("refusal") else reason,
        "stop_sequence": sequence,
        "usage": usage_of(tokens or reported(body.get("usage")) or Tokens()),
    }
    if citations is not None:
        answer["citations"] = list(citations)
    return answer


def form(call: Call) -> MessagesForm:
    """How this call's stream is written."""
    return MessagesForm(answer_id(call.id), call.model, thinking=thinks(call), stops=_stops(call))


def answer_id(request_id: UUID) -> str:
    """The id of an answer, the same in all of a stream."""
    return f"msg_{request_id.hex}"


def thinks(call: Call) -> bool:
    """Whether the client asked for the model's thinking: only then it is shown."""
    asked = call.body.get("thinking")
    return isinstance(asked, dict) and asked.get("type") in ("enabled", "adaptive")


def outgoing(call: Call, body: dict[str, Any], *, knows_thinking: bool) -> dict[str, Any]:
    """A masked body as a vendor takes it. One that knows OpenAI's fields alone gets an effort for a budget of thinking,
    and no blocks of it; the others get those that masking left as they were, for they are signed.
    """
    if knows_thinking:
        signed = {id(block) for message in call.body["messages"] for block in message.get("thinking_blocks", ())}
        return {**body, "messages": [_signed(message, signed) for message in body["messages"]]}
    body = dict(body)
    asked = body.pop("thinking", None)
    if isinstance(asked, dict) and asked.get("type") == "enabled":
        body.setdefault("reasoning_effort", _effort(asked.get("budget_tokens")))
    body["messages"] = [_bare(message) for message in body["messages"]]
    if "tools" in body:
        body["tools"] = [_without(tool, "cache_control") for tool in body["tools"]]
    if body.get("reasoning_effort") and "max_tokens" in body:  # models that reason do not know the older name
        body["max_completion_tokens"] = body.pop("max_tokens")
    return body


def refusal(error: GatewayError, request_id: UUID) -> dict[str, Any]:
    """An error in Anthropic's shape; its code and param stand beside."""
    return {"type": "error", "error": error_of(error), "request_id": str(request_id)}


# -- in ---------------------------------------------------------------------------------------------------------------


def _translated(body: dict[str, Any]) -> tuple[dict[str, Any], frozenset[int]]:
    """The body of a Call, and which of its messages quote documents."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise refuse("model", "the name of a model")
    for name in (INTERNAL | {"n", "thinking_blocks", "stream_options"}) & body.keys():
        raise InvalidRequest(f"{name} is not a field of this form.", param=name)
    made = {name: value for name, value in body.items() if name not in _TRANSLATED}
    conversation = Conversation()
    for message in read_system(body.get("system")):
        conversation.add(message)
    conversation.read(body.get("messages"))
    made["messages"] = conversation.messages
    _put(made, "stop", _strings(body.get("stop_sequences"), "stop_sequences"))
    _put(made, "tools", _tools(body.get("tools")))
    made |= _tool_choice(body.get("tool_choice"))
    made |= _metadata(body.get("metadata"))
    made |= _output(body)
    if not isinstance(body.get("thinking") or {}, dict):
        raise refuse("thinking", "an object with a type")
    openai_chat.check_fields(made)
    return made, frozenset(conversation.documents)


def _put(made: dict[str, Any], name: str, value: Any) -> None:
    if value is not None:
        made[name] = value


def _strings(value: Any, place: str) -> list[str] | None:
    if value is not None and (not isinstance(value, list) or not all(isinstance(item, str) for item in value)):
        raise refuse(place, "a list of strings")
    return value or None


def _tools(value: Any) -> list[dict[str, Any]] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise refuse("tools", "a list of tools")
    return [_tool(f"tools[{number}]", tool) for number, tool in enumerate(value)]


def _tool(place: str, tool: Any) -> dict[str, Any]:
    if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
        raise refuse(place, "an object with a name")
    if tool.get("type") not in (None, "custom"):
        return tool  # one that the vendor runs itself
    schema = tool.get("input_schema")
    if not isinstance(schema, dict):
        raise refuse(f"{place}.input_schema", "an object")
    function = {"name": tool["name"], "parameters": schema}
    for name in ("description", "strict"):
        _put(function, name, tool.get(name))
    made = {"type": "function", "function": function}
    _put(made, "cache_control", tool.get("cache_control"))
    return made


def _tool_choice(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "tool" and isinstance(value.get("name"), str):
        made: dict[str, Any] = {"tool_choice": {"type": "function", "function": {"name": value["name"]}}}
    elif isinstance(kind, str) and kind in _CHOICES:
        made = {"tool_choice": _CHOICES[kind]}
    else:
        raise refuse("tool_choice", "an object whose type is auto, any, none, or tool with a name")
    if value.get("disable_parallel_tool_use") is True:
        made["parallel_tool_calls"] = False
    return made


def _metadata(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not isinstance(value.get("user_id") or "", str):
        raise refuse("metadata", "an object; its user_id a string")
    made: dict[str, Any] = {"user": value["user_id"]} if value.get("user_id") else {}
    rest = {name: item for name, item in value.items() if name != "user_id"}
    return made | ({"metadata": rest} if rest else {})


def _output(body: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked of the answer's form, and how hard the model is to try."""
    config = body.get("output_config") or {}
    if not isinstance(config, dict):
        raise refuse("output_config", "an object")
    made: dict[str, Any] = {}
    wanted = body.get("output_format") if config.get("format") is None else config["format"]
    if wanted is not None:
        if not isinstance(wanted, dict) or not isinstance(wanted.get("schema"), dict):
            raise refuse("output_config.format", "an object with a schema")
        schema = {"name": "answer", "schema": wanted["schema"], "strict": True}
        made["response_format"] = {"type": "json_schema", "json_schema": schema}
    _put(made, "reasoning_effort", config.get("effort"))
    return made


# -- to vendors, and back ---------------------------------------------------------------------------------------------


def _effort(budget: Any) -> str:
    size = budget if is_whole(budget) else 0
    return next((effort for most, effort in _EFFORTS if size <= most), "high")


def _signed(message: dict[str, Any], signed: set[int]) -> dict[str, Any]:
    """A message with those of its blocks that nobody has changed."""
    if "thinking_blocks" not in message:
        return message
    kept = [block for block in message["thinking_blocks"] if id(block) in signed]
    return {**message, "thinking_blocks": kept} if kept else _without(message, "thinking_blocks")


def _bare(message: dict[str, Any]) -> dict[str, Any]:
    """A message without what only Anthropic knows."""
    message = _without(message, "thinking_blocks")
    if isinstance(message.get("content"), list):
        message = {**message, "content": [_without(part, "cache_control") for part in message["content"]]}
    return message


def _without(value: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key != name} if name in value else value


def _content(message: Mapping[str, Any], *, thinking: bool) -> list[dict[str, Any]]:
    blocks = _thinking(message) if thinking else []
    for name in ("content", "refusal"):
        if isinstance(message.get(name), str) and message[name]:
            blocks.append({"type": "text", "text": message[name]})
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        block = {"type": "tool_use", "id": call.get("id") or "", "name": function.get("name") or ""}
        blocks.append({**block, "input": _input(function.get("arguments"))})
    return blocks


def _thinking(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = message.get("thinking_blocks")
    if isinstance(found, list) and found:
        return [{"signature": "", **block} if block.get("type") == "thinking" else block for block in found]
    text = message.get("reasoning_content") or message.get("reasoning")
    return [{"type": "thinking", "thinking": text, "signature": ""}] if isinstance(text, str) and text else []


def _input(arguments: Any) -> dict[str, Any]:
    """A call's arguments as an object; what is none is not lost."""
    try:
        found = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        found = None
    return found if isinstance(found, dict) else {"arguments": arguments}


def _stops(call: Call) -> tuple[str, ...]:
    return tuple(call.body.get("stop") or ())
