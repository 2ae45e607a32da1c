"""Make the virtual environment: `python3 -I deploy/local/yard/bootstrap.py [run|dev]`.

Runs before anything is installed, with whatever python3 the machine has. Debian's has neither venv
nor pip: they are installed where that is allowed, else the one line to type is printed. Packages
come with their hashes from requirements/*.txt, from wherever this person's pip is configured to
look. A stamp remembers what was installed, so a second call costs nothing.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
VENV = CHECKOUT / ".venv"
SOURCES = (
    "libs/authz",
    "libs/egress",
    "libs/schemas",
    "libs/chassis",
    "protos",
    *(f"services/{name}" for name in ("iam", "flags", "experiments", "audit", "compute")),
    "gateway",
    "deploy/local",
)
OLDEST = (3, 11)
CANDIDATES = ("python3.14", "python3.13", "python3.12", "python3.11")


def main(wanted: str) -> None:
    """Bring .venv to what `wanted` (run or dev) needs."""
    if sys.version_info < OLDEST:
        _with_a_newer_python()
    sets = ("run", "dev") if wanted == "dev" else ("run",)
    if not _usable():
        _create()
    _write_paths()
    for name in sets:
        _install(name)
    _prepare_guests()


def _prepare_guests() -> None:
    """Make what virtual machines need, where it can be had; without it everything else runs."""
    script = CHECKOUT / "deploy/local/guest/prepare.py"
    subprocess.run([sys.executable, "-I", str(script), str(CHECKOUT / ".images")], check=False)


def _with_a_newer_python() -> None:
    """Go on under a newer Python of this machine; say what is missing where there is none."""
    for name in CANDIDATES:
        if found := shutil.which(name):
            os.execv(found, [found, *sys.orig_argv[1:]])  # noqa: S606
    sys.exit(f"Switchyard needs Python 3.11 or newer; this is {sys.version.split()[0]}.")


def _usable() -> bool:
    """Say whether .venv has an interpreter that still exists, and pip."""
    return (VENV / "bin/python").exists() and (VENV / "bin/pip").exists()


def _create() -> None:
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        get_venv()
    print("making .venv …", flush=True)
    if subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=False).returncode:
        sys.exit("python3 could not make a virtual environment in .venv: see above.")


def get_venv() -> None:
    """Install what Debian leaves out of python3; say the line to type where we may not."""
    package = "python3-venv"
    if Path(sys.executable).resolve() != Path("/usr/bin/python3").resolve():
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    install = [["apt-get", "update"], ["apt-get", "install", "-y", package]]
    line = " && ".join(" ".join(["sudo", *command]) for command in install)
    before = _as_root()
    if before is None or shutil.which("apt-get") is None:
        sys.exit(f"This python3 cannot make virtual environments. Type:\n\n  {line}\n")
    print(f"installing {package} (this python3 cannot make virtual environments) …", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in install:
        done = subprocess.run(
            [*before, *command], env=quiet, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{done.stdout}{done.stderr}\n{' '.join(command)} failed. Type:\n\n  {line}\n")


def _as_root() -> list[str] | None:
    """Return what to put before a command to run it as root; None where that needs a password."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return ["sudo", "-n"] if asked.returncode == 0 else None


def _write_paths() -> None:
    """Put our sources on the path of the environment; they are not installed, so edits count."""
    packages = next((VENV / "lib").glob("python3.*")) / "site-packages"
    text = "".join(f"{CHECKOUT / source}\n" for source in SOURCES)
    file = packages / "switchyard.pth"
    if not file.exists() or file.read_text() != text:
        file.write_text(text)


def _install(name: str) -> None:
    """Install one requirements file, unless it is what was installed last."""
    wanted = CHECKOUT / "requirements" / f"{name}.txt"
    stamp = VENV / f".installed-{name}"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    print(f"installing requirements/{name}.txt …", flush=True)
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-compile")
    pip = [str(VENV / "bin/python"), "-m", "pip", "install", "--require-hashes", *quiet]
    if subprocess.run([*pip, "-r", str(wanted)], check=False).returncode:
        sys.exit(f"\npip could not install requirements/{name}.txt: see above.")
    _compile()
    stamp.write_text(digest)


def _compile() -> None:
    """Compile on all cores what pip would compile on one."""
    packages = next((VENV / "lib").glob("python3.*")) / "site-packages"
    command = [str(VENV / "bin/python"), "-m", "compileall", "-q", "-j", "0", str(packages)]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "run")
