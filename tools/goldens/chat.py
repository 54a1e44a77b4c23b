"""Writes tests/goldens/chat/chat.json: chat templates in the styles that public models use, rendered by transformers.

Run: python chat.py [output folder]
"""

import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

CHATML = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- 'You may call these functions:' }}
    {%- for tool in tools %}
        {{- '\\n' }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' or message.role == 'assistant' and not message.tool_calls %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant' }}
        {%- for call in message.tool_calls %}
            {{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
            {%- if call.function.arguments is string %}
                {{- call.function.arguments }}
            {%- else %}
                {{- call.function.arguments | tojson }}
            {%- endif %}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if thinking is defined and thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

HEADERS = """{{- bos_token }}
{%- set ns = namespace(system='', first=true) %}
{%- if messages[0]['role'] == 'system' %}
    {%- set ns.system = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday is ' + (today if today is defined else '1 Jan 2024') + '.\\n' + ns.system + '<|eot_id|>' }}
{%- for message in messages %}
    {{- '<|start_header_id|>' ~ message['role'] ~ '<|end_header_id|>\\n\\n' }}
    {%- if message['content'] is string %}
        {{- message['content'] | trim }}
    {%- endif %}
    {{- '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}
"""

INST = """{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Roles must alternate user and assistant, found ' + message['role'] + ' at ' + (loop.index | string)) }}
    {%- endif %}
    {%- if message['role'] == 'user' %}
        {%- if loop.first and system_message is defined %}
            {{- ' [INST] ' + system_message + '\\n\\n' + message['content'] + ' [/INST]' }}
        {%- else %}
            {{- ' [INST] ' + message['content'] + ' [/INST]' }}
        {%- endif %}
    {%- else %}
        {{- ' ' + message['content'] + eos_token }}
    {%- endif %}
{%- endfor %}
"""

SHORT = "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}{{ '[system default]\\n' }}{% endif %}{{ m['role'] | capitalize + ': ' + m['content'] | replace('\\t', ' ') + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"

TEMPLATES = {"chatml": CHATML, "headers": HEADERS, "inst": INST, "short": SHORT}

user = lambda text: {"role": "user", "content": text}
assistant = lambda text: {"role": "assistant", "content": text}
system = lambda text: {"role": "system", "content": text}
CALL = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Z\u00fcrich", "days": 2, "units": None, "wet": True}}}]}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Weather of a \"city\" <now>", "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}}}]

CONVERSATIONS = {
    "one question": {"messages": [user("Why is the sky blue?")]},
    "system first": {"messages": [system("  Be brief. "), user("Hi"), assistant("Hello!"), user("Bye")]},
    "odd text": {"messages": [user("tabs\tand\nlines \u4f60\u597d \U0001f600 {{ not jinja }} {% no %} <|im_end|> 'q' \"d\"")]},
    "no prompt": {"messages": [user("a"), assistant("b")], "add_generation_prompt": False},
    "two users": {"messages": [user("a"), user("b")]},
    "tools": {"messages": [user("Weather?"), CALL, {"role": "tool", "content": "{\"sun\": 1}"}], "tools": TOOLS},
    "extra": {"messages": [user("x")], "extra": {"thinking": False, "today": "2 Feb 2025"}},
    "empty text": {"messages": [user("")]},
}


def render(template, conversation):
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = template
    try:
        return {"text": tokenizer.apply_chat_template(
            conversation["messages"], tools=conversation.get("tools"), tokenize=False,
            add_generation_prompt=conversation.get("add_generation_prompt", True), **conversation.get("extra", {}),
        )}
    except Exception as error:  # what a template refuses
        return {"error": str(error)}


def main():
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "tests/goldens/chat"
    out.mkdir(parents=True, exist_ok=True)
    results = {t: {c: render(TEMPLATES[t], CONVERSATIONS[c]) for c in CONVERSATIONS} for t in TEMPLATES}
    document = {"bos": "<s>", "eos": "</s>", "templates": TEMPLATES, "conversations": CONVERSATIONS, "results": results}
    (out / "chat.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
