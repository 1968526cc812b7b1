"""What `make deploy` makes, on this machine: deployed into emulators of AWS, and there until Ctrl-C.

python local_test/deploy_local.py [Parameter=value ...]

The server is the real one. Other terminals reach all of it with the variables that are printed.
"""

import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import local_aws
from demo import READY_S, console, doing, say, start_server
from pothole.errors import PotholeError

# A folder that is no package: its files are started by themselves.
sys.path.insert(0, str(local_aws.ROOT / "infra"))
import deploy
import stacks

NAME = "pothole"
BUDGET = "MonthlyBudget="


def main() -> int:
    """Deploy and wait; returns the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        with tempfile.TemporaryDirectory(prefix="deploy-local-") as folder, ExitStack() as stack:
            run(sys.argv[1:], Path(folder), stack)
    except (local_aws.Failed, stacks.Failed, PotholeError) as exc:
        console.print(f"[red]{exc}", highlight=False)
        return 1
    return 0


def run(given: list[str], folder: Path, stack: ExitStack) -> None:
    """Start all parts, deploy, and wait for a signal.

    Args:
        given: Parameters of the templates, as `make deploy` takes them.
        folder: For logs and temporary files.
        stack: Takes all down again.
    """
    cloud = local_aws.Cloud(folder, [str(Path(sys.executable).with_name("pothole"))])
    with doing("Starting the AWS emulators and the server ..."):
        stack.enter_context(cloud)
        server, cloud.front.server = start_server(folder)
        stack.enter_context(server)
        server.wait_for(f"{cloud.front.server}/ping", READY_S)
    say(f"AWS emulator at {cloud.url}, server at {cloud.front.server}")
    values = [value for value in given if not value.startswith(BUDGET)]
    if values != given:
        console.print("MonthlyBudget is left out: the emulators have no AWS Budgets.")
    deploy.run(["deploy", "--name", NAME, "--image", NAME, *values, f"{BUDGET}0"])
    console.print("\nIn another terminal, to use it with make status, aws or boto3:\n")
    for name, value in cloud.addresses.items():
        console.print(f"export {name}={value}", highlight=False, soft_wrap=True)
    console.print("\nCtrl-C takes all of it down.")
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
