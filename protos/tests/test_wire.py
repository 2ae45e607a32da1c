"""The wire never forgets: what the baseline could say, today's protos can still say; and the code is what they say."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet
from grpc_tools import protoc

HERE = Path(__file__).parents[1]
WELL_KNOWN = Path(protoc.__file__).parent / "_proto"


def said_by(protos):
    words = set()
    for file in protos.file:
        for service in file.service:
            words |= {
                f"rpc {file.package}.{service.name}.{m.name}({m.input_type}) -> {m.output_type}"
                f" {m.client_streaming}/{m.server_streaming}"
                for m in service.method
            }
        for message in file.message_type:
            words |= fields(f"{file.package}.{message.name}", message)
        for enum in file.enum_type:
            words |= {f"{file.package}.{enum.name}.{v.name} = {v.number}" for v in enum.value}
    return words


def fields(name: str, message: DescriptorProto):
    own = {f"{name}.{f.name} = {f.number} : {f.type}{f.type_name}/{f.label}" for f in message.field}
    return own.union(*(fields(f"{name}.{n.name}", n) for n in message.nested_type))


def protos_in(folder):
    return sorted(p for root in ("switchyard", "flagd") for p in folder.glob(f"{root}/**/*.proto"))


def described(folder, out):
    files = [str(path.relative_to(folder)) for path in protos_in(folder)]
    args = ["protoc", f"-I{folder}", f"-I{WELL_KNOWN}", f"--descriptor_set_out={out}", *files]
    assert protoc.main(args) == 0
    return FileDescriptorSet.FromString(out.read_bytes())


@pytest.fixture(scope="module")
def baseline():
    return said_by(FileDescriptorSet.FromString((HERE / "baseline.binpb").read_bytes()))


def test_nothing_once_said_is_lost(baseline, tmp_path):
    assert baseline - said_by(described(HERE, tmp_path / "today.binpb")) == set()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("string reason = 2;", "string reason = 9;"),
        ("string reason = 2;", ""),
        ("string reason = 2;", "int64 reason = 2;"),
        ("rpc Toggle(ToggleRequest) returns (Flag);", "rpc Flip(ToggleRequest) returns (Flag);"),
        (
            "rpc Toggle(ToggleRequest) returns (Flag);",
            "rpc Toggle(ToggleRequest) returns (stream Flag);",
        ),
    ],
)
def test_a_change_that_breaks_yesterdays_clients_is_seen(baseline, tmp_path, old, new):
    for path in protos_in(HERE):
        there = tmp_path / path.relative_to(HERE)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(path.read_text().replace(old, new))
    assert baseline - said_by(described(tmp_path, tmp_path / "spoiled.binpb"))


def test_the_generated_code_is_what_the_protos_say(tmp_path):
    subprocess.run([sys.executable, HERE / "generate.py", "--into", tmp_path], check=True)
    made = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*.py*")}
    assert made
    stale = [str(p) for p, text in made.items() if (HERE / p).read_bytes() != text]
    assert stale == [], "run `make protos`"
