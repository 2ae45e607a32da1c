"""Make the Python code of every .proto file, beside it: `make protos`.

With `--baseline` it also writes what the wire can say today to `baseline.binpb`, which the compatibility test holds
later versions against. `--into DIR` writes elsewhere: the drift test compares.
"""

import argparse
import sys
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).parent


def protos() -> list[str]:
    """Return every .proto file, relative to this folder, in a stable order."""
    found = [path for root in ("switchyard", "flagd") for path in HERE.glob(f"{root}/**/*.proto")]
    return sorted(str(path.relative_to(HERE)) for path in found)


def run(*outputs: str) -> None:
    """Call the compiler; SystemExit with its status where it refuses."""
    well_known = Path(protoc.__file__).parent / "_proto"
    if status := protoc.main(["protoc", f"-I{HERE}", f"-I{well_known}", *outputs, *protos()]):
        sys.exit(status)


def main() -> None:
    """Generate the messages, the services, and the stubs that pyright reads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=HERE)
    parser.add_argument("--baseline", action="store_true")
    asked = parser.parse_args()
    plugin = Path(sys.executable).parent
    run(
        f"--plugin=protoc-gen-mypy={plugin / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={plugin / 'protoc-gen-mypy_grpc'}",
        f"--python_out={asked.into}",
        f"--grpc_python_out={asked.into}",
        f"--mypy_out=quiet:{asked.into}",
        f"--mypy_grpc_out=quiet:{asked.into}",
    )
    if asked.baseline:
        run(f"--descriptor_set_out={HERE / 'baseline.binpb'}")


if __name__ == "__main__":
    main()
