"""llama.cpp's server, out of the wheel `xllamacpp`, until it is killed: `python run_llama_cpp.py FILE PORT CONTEXT_TOKENS`."""

import signal
import sys

import xllamacpp


def main(file: str, port: int, context_tokens: int) -> None:
    """Serves a GGUF file at a port of the loopback interface; two requests share the context."""
    params = xllamacpp.CommonParams()
    params.model.path = file
    params.model_alias = {"tiny"}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = context_tokens
    params.n_parallel = 2
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.use_jinja = True
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.endpoint_slots = True
    params.warmup = False
    # It serves from threads of its own, for as long as the object lives.
    server = xllamacpp.Server(params)
    signal.pause()
    del server


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
