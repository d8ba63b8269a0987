#!/bin/sh
# Chat by curl: sh chat.sh [QUESTION] [MODEL]. The answer comes as server-sent events; their last one is [DONE].
set -eu

url=${HITCHPOST_URL:-http://127.0.0.1:8321}
model=${2:-tiny-llama}
# As a JSON string: quotes and backslashes escaped, line ends as spaces.
question=$(printf '%s' "${1:-What is Hitchpost?}" | tr '\n\r\t' '   ' | sed 's/["\\]/\\&/g')

curl --silent --show-error --no-buffer --fail-with-body "${url%/v1}/v1/chat/completions" \
  -H 'Content-Type: application/json' \
  -d "{\"model\": \"$model\", \"stream\": true, \"messages\": [{\"role\": \"user\", \"content\": \"$question\"}]}"
