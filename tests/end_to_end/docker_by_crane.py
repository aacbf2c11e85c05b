"""The commands of docker that documents use, done by crane: what is built and pulled is kept as files.

`docker login`   crane auth login, with a password that is asked for as docker does
`docker logout`  crane auth logout
`docker build`   crane append: an image with the context's files as its one layer
`docker push`    crane push
`docker pull`    crane pull
"""

from __future__ import annotations

import argparse
import getpass
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from urllib.parse import quote

DOCKERFILE = "FROM scratch\nCOPY . /\n"
"""The one that is understood."""


def image_file(reference: str, docker_config: str) -> Path:
    """Where an image is that was built or pulled."""
    directory = Path(docker_config) / "images"
    directory.mkdir(parents=True, exist_ok=True)
    return directory / f"{quote(reference, safe='')}.tar"


def main() -> None:
    """Do what the arguments say, as docker would."""
    parser = argparse.ArgumentParser(prog="docker")
    commands = parser.add_subparsers(dest="command", required=True)
    login = commands.add_parser("login")
    login.add_argument("--username", required=True)
    login.add_argument("--password-stdin", action="store_true")
    login.add_argument("server")
    commands.add_parser("logout").add_argument("server")
    build = commands.add_parser("build")
    build.add_argument("--tag", required=True)
    build.add_argument("--file", choices=["-"], required=True)
    build.add_argument("context", type=Path)
    for command in ("push", "pull"):
        commands.add_parser(command).add_argument("image")
    given = parser.parse_args()
    match given.command:
        case "login":
            password = sys.stdin.read() if given.password_stdin else getpass.getpass("Password: ")
            crane("auth", "login", "--username", given.username, "--password-stdin", given.server, stdin=password)
        case "logout":
            crane("auth", "logout", given.server)
        case "build":
            if (dockerfile := sys.stdin.read()) != DOCKERFILE:
                sys.exit(f"a Dockerfile of {DOCKERFILE!r} is understood, not {dockerfile!r}")
            with tempfile.NamedTemporaryFile(suffix=".tar") as layer:
                with tarfile.open(fileobj=layer, mode="w") as archive:
                    archive.add(given.context, ".")
                layer.flush()
                output = str(image_file(given.tag, os.environ["DOCKER_CONFIG"]))
                crane("append", "--new_layer", layer.name, "--new_tag", given.tag, "--output", output)
        case "push":
            crane("push", str(image_file(given.image, os.environ["DOCKER_CONFIG"])), given.image)
        case "pull":
            crane("pull", given.image, str(image_file(given.image, os.environ["DOCKER_CONFIG"])))


def crane(*arguments: str, stdin: str | None = None) -> None:
    """Run crane, and end as it does if it fails."""
    done = subprocess.run(["crane", *arguments], input=stdin, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
