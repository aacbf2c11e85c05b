"""`python -m sandbox COMMAND`: the sandbox from the command line."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from sandbox.demonstration import DemonstrationError, show
from sandbox.edge.target_health import DEREGISTRATION_LAG_SECONDS, REGISTRATION_DELAY_SECONDS
from sandbox.layout import DEFAULT_NETWORK, Account, Layout
from sandbox.lifecycle import Steps, down, up
from sandbox.load_balancer_controller.installation import PART as LOAD_BALANCER_CONTROLLER
from sandbox.machine import MachineError, require
from sandbox.processes import ProcessError, running
from sandbox.stack import open_stack
from sandbox.tools.build import Toolchain, ToolchainError, toolchain, tools_in_use, write_archive
from sandbox.tools.pins import go_platform


def main() -> None:
    """Do what the arguments say; errors that have a remedy end with a message, not with a traceback."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="AWS and Kubernetes on one machine.")
    parser.add_argument("--name", default="default", help="the sandbox's name (default: %(default)s)")
    parser.add_argument(
        "--network",
        type=int,
        default=DEFAULT_NETWORK,
        help="the N of its addresses 127.N.0.0/16, another one for each sandbox (default: %(default)s)",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for command, (_, text) in COMMANDS.items():
        added = commands.add_parser(command, help=text)
        if command == "up":
            added.add_argument(
                "--load-balancer-controller",
                action="store_true",
                help="start the AWS Load Balancer Controller too, which is built when it is first asked for",
            )
            _add_delays(added)
    arguments = parser.parse_args()
    layout = Layout(arguments.name, arguments.network)
    try:
        if arguments.command == "up":
            _up(
                layout,
                load_balancer_controller=arguments.load_balancer_controller,
                registration_delay=arguments.registration_delay,
                deregistration_lag=arguments.deregistration_lag,
            )
        else:
            COMMANDS[arguments.command][0](layout)
    except (MachineError, ToolchainError, ProcessError, DemonstrationError) as error:
        sys.exit(f"error: {error}")


def _add_delays(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--registration-delay",
        type=float,
        default=REGISTRATION_DELAY_SECONDS,
        metavar="SECONDS",
        help="until network load balancers check a registered target (default: %(default)s; AWS: up to minutes)",
    )
    parser.add_argument(
        "--deregistration-lag",
        type=float,
        default=DEREGISTRATION_LAG_SECONDS,
        metavar="SECONDS",
        help="for which they connect to a deregistered target (default: %(default)s; AWS: up to two minutes)",
    )


def _up(
    layout: Layout,
    *,
    load_balancer_controller: bool = False,
    registration_delay: float = REGISTRATION_DELAY_SECONDS,
    deregistration_lag: float = DEREGISTRATION_LAG_SECONDS,
) -> None:
    require(layout)
    up(
        layout,
        tools_in_use(*([LOAD_BALANCER_CONTROLLER] if load_balancer_controller else [])),
        Steps(),
        load_balancer_controller=load_balancer_controller,
        registration_delay=registration_delay,
        deregistration_lag=deregistration_lag,
    )


def _tools_of(layout: Layout) -> Toolchain:
    """Those that the sandbox was started with: a state is for the engine that wrote it, whatever was built since."""
    return Toolchain(layout.tools.resolve()) if layout.tools.exists() else tools_in_use()


def _destroy(layout: Layout) -> None:
    if not layout.account_file.exists():
        print("nothing to destroy: the sandbox is not up")
        return
    stack = open_stack(layout, Account.load(layout.account_file), _tools_of(layout))
    stack.destroy(on_output=print)


def _down(layout: Layout) -> None:
    stopped = down(layout)
    print("stopped:", ", ".join(stopped) or "nothing was running")


def _status(layout: Layout) -> None:
    processes = running(layout)
    for process in processes:
        print(f"{process.name:<30} {process.pid}")
    if not processes:
        sys.exit("the sandbox is down")
    print(f"\nAWS {layout.cloud_url}\nKubernetes {layout.kubernetes_url}\nHTTP proxy {layout.edge_url}")
    print(f"logs {layout.logs}\ncontainers' logs {layout.container_logs}")


def _env(layout: Layout) -> None:
    if not layout.account_file.exists():
        sys.exit("the sandbox is down: `make sandbox` starts it")
    for key, value in layout.client_environment(Account.load(layout.account_file), _tools_of(layout).binaries).items():
        print(f"export {key}={shlex.quote(value)}")


def _tools_archive(_: Layout) -> None:
    file = Path(f"sandbox-tools-{go_platform().replace('/', '-')}.tar.gz")
    write_archive(file)
    print(f"{file.resolve()} ({file.stat().st_size / 1e6:.0f} MB): SANDBOX_TOOLS={file} make sandbox")


COMMANDS = {
    "tools": (lambda _: print(toolchain().binaries), "build all tools, if they are not built yet"),
    "tools-archive": (
        _tools_archive,
        "write the tools that are built to a file, which SANDBOX_TOOLS can name elsewhere",
    ),
    "show": (show, "bring everything up, deploy the stack, push and pull an image"),
    "up": (_up, "start what does not run yet"),
    "down": (_down, "stop all processes of the sandbox and remove what they wrote"),
    "destroy": (_destroy, "pulumi destroy of the stack `sandbox`"),
    "status": (_status, "list the processes and addresses"),
    "env": (_env, "print the environment of the sandbox's clients, for a shell's eval"),
}


if __name__ == "__main__":
    main()
