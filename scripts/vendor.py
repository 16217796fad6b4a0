"""See scripts/vendor."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
VENDOR = ROOT / "src/unlatch/web/static/vendor"
LIST = VENDOR / "vendor.toml"
ELSEWHERE = re.compile(
    rb"https://[a-z0-9.]+/npm/"
)  # an address from which a library would fetch more by itself


def fetch(package: str, version: str) -> dict[str, bytes]:
    """The files of a package, by their path in it."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["npm", "pack", "--silent", f"{package}@{version}"],
            cwd=folder, check=True, capture_output=True, text=True,
        )  # fmt: skip
        name = packed.stdout.strip().splitlines()[-1]
        content = (Path(folder) / name).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {
            member.name.partition("/")[2]: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive.getmembers()
            if member.isfile()
        }


def main() -> None:
    """Fetch what the list names, compare digests, copy."""
    is_writing = "--write" in sys.argv
    text = LIST.read_text(encoding="utf-8")
    for package in tomllib.loads(text)["package"]:
        files = fetch(package["name"], package["version"])
        for one in package["file"]:
            content = ELSEWHERE.sub(b"/nowhere/", files[one["from"]])
            digest = hashlib.sha256(content).hexdigest()
            if is_writing and one["sha256"] != digest:
                text = text.replace(f'from = "{one["from"]}", to = "{one["to"]}", sha256 = "{one["sha256"]}"',
                                    f'from = "{one["from"]}", to = "{one["to"]}", sha256 = "{digest}"')  # fmt: skip
            elif one["sha256"] != digest:
                sys.exit(f"{package['name']}: {one['from']} is not what it was: {digest}")
            target = VENDOR / one["to"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            print(f"{package['name']} {package['version']} {one['to']} {len(content):,} bytes")
    if is_writing:
        LIST.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
