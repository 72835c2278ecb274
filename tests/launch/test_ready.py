"""What is told when Customhouse is ready."""

from __future__ import annotations

import json
import subprocess

from launch.ready import curl_line


def test_the_curl_line_survives_a_shell_whatever_the_question() -> None:
    question = """What's "notice" in $HOME, and `why`?"""
    line = curl_line("http://127.0.0.1:1/v1", {"question": question, "collection": "handbook", "api_key": "sk"})
    shown = subprocess.run(["sh", "-c", line.replace("curl", 'printf "%s\\n"', 1)], capture_output=True, text=True)
    body = json.loads(shown.stdout.splitlines()[-1])
    assert body["messages"][0]["content"] == question
    assert body["retrieval"] == {"collections": ["handbook"]}
