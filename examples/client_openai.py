"""Chat by the openai SDK (`pip install openai`): python client_openai.py [QUESTION] [MODEL]."""

import os
import sys

from openai import NotFoundError, OpenAI

url = os.environ.get("HITCHPOST_URL", "http://127.0.0.1:8321").removesuffix("/v1")
question = sys.argv[1] if len(sys.argv) > 1 else "What is Hitchpost?"
model = sys.argv[2] if len(sys.argv) > 2 else "tiny-llama"

client = OpenAI(base_url=f"{url}/v1", api_key="unused")
messages = [{"role": "user", "content": question}]

print(f"{model}, whole:")
answer = client.chat.completions.create(model=model, messages=messages)
print(answer.choices[0].message.content)

print(f"{model}, as it comes:")
with client.chat.completions.create(model=model, messages=messages, stream=True) as stream:
    for chunk in stream:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
print()

try:
    client.chat.completions.create(model="no-such-model", messages=messages)
except NotFoundError as error:
    print(f"{error.code}: {error.body['message']}")
