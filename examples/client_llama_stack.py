"""Chat by llama-stack-client (`pip install llama-stack-client`): python client_llama_stack.py [QUESTION] [MODEL]."""

import os
import sys

from llama_stack_client import LlamaStackClient

url = os.environ.get("HITCHPOST_URL", "http://127.0.0.1:8321").removesuffix("/v1")
question = sys.argv[1] if len(sys.argv) > 1 else "What is Hitchpost?"
model = sys.argv[2] if len(sys.argv) > 2 else "tiny-llama"

client = LlamaStackClient(base_url=url)
messages = [{"role": "user", "content": question}]

print(f"{model}, whole:")
answer = client.inference.chat_completion(model_id=model, messages=messages)
print(answer.completion_message.content)

print(f"{model}, as it comes:")
for chunk in client.inference.chat_completion(model_id=model, messages=messages, stream=True):
    print(chunk.event.delta, end="", flush=True)
print()
