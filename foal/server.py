"""A greedy chat completion from a server of the OpenAI dialect, with the standard library alone."""

import json
import urllib.request

Messages = list[dict[str, str]]


def ask(base_url: str, model: str, api_key: str, messages: Messages, longest: int = 48) -> str:
    body = {"model": model, "messages": messages, "temperature": 0, "max_tokens": longest}
    request = urllib.request.Request(
        f"{base_url.rstrip('/')}/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {api_key}"},
    )
    with urllib.request.urlopen(request, timeout=120) as response:
        content = json.load(response)["choices"][0]["message"]["content"]
    return content or ""
