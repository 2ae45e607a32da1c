"""What a backup is unpacked with, on every Python that we run on: Debian 12's knows no filters of tarfile yet."""

import io
import tarfile

import pytest

from yard.backup import _extract


def archive(name, kind=tarfile.REGTYPE):
    """Return an archive with one member."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname, member.size = kind, "/etc/hostname", 0
        tar.addfile(member)
    held.seek(0)
    return tarfile.open(fileobj=held)


@pytest.fixture(params=["with filters", "without"])
def python(request, monkeypatch):
    if request.param == "without":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)


@pytest.mark.usefixtures("python")
def test_plain_files_are_unpacked(tmp_path):
    with archive("folder/file") as tar:
        _extract(tar, tmp_path)
    assert (tmp_path / "folder" / "file").is_file()


@pytest.mark.usefixtures("python")
@pytest.mark.parametrize(
    ("name", "kind"), [("../out", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)], ids=str
)
def test_what_leads_out_of_the_folder_is_refused(tmp_path, name, kind):
    folder = tmp_path / "in"
    folder.mkdir()
    with archive(name, kind) as tar, pytest.raises(tarfile.TarError):
        _extract(tar, folder)
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "out").exists()
