"""Deploy everything to AWS, show how it does, take it away.

python infra/deploy.py deploy|status|redrive|destroy [--name pothole] [Parameter=value ...]

Parameters are those of the templates beside this file. What is not given keeps its last value, and
has its default the first time. Each command can be given again, also after one that broke off.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError
from rich.console import Console
from rich.table import Table

from cleanup import delete_logs, empty, stop_jobs
from job_status import job_table
from packages import (
    BUILDS,
    SHIPPED_MODEL,
    has_repository,
    pack_functions,
    pack_model,
    push_image,
    repository_of,
    upload,
)
from releases import ami_for, changes_instances, check_release
from smoke import smoke_job
from stacks import Failed, Stack
from undelivered import send_again

# In the order in which one needs the other. The first holds the videos and is never deleted.
KINDS = ("videos", "work", "endpoints", "trigger", "operations", "queue", "api", "samples", "stream")
# These are there on request, by a parameter of this name, which is kept.
OPTIONAL = {"Queue": "queue", "Api": "api", "Samples": "samples", "Stream": "stream"}
SMOKE_PATIENCE_S = 20 * 60
# Plain text in a notebook, too: its own kind of progress needs a widget that is not installed.
console = Console(highlight=False, soft_wrap=True, force_jupyter=False)


def main() -> int:
    """Run the command; returns the exit status."""
    try:
        run(sys.argv[1:])
    except (Failed, BotoCoreError, ClientError) as exc:
        hint = " Set AWS_DEFAULT_REGION." if isinstance(exc, NoRegionError) else ""
        console.print(f"{exc}{hint}", style="red", markup=False)
        return 1
    return 0


def run(arguments: list[str]) -> dict[str, str]:
    """Run a command.

    Args:
        arguments: As on the command line.

    Returns:
        The outputs of the stacks that are there afterwards.

    Raises:
        Failed: A step could not be done.
    """
    args = parser().parse_args(arguments)
    args.run(args)
    return {output: value for kind in KINDS for output, value in Stack(args.name, kind).outputs().items()}


def parser() -> argparse.ArgumentParser:
    """Return the command's flags."""
    result = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = result.add_subparsers(required=True, dest="command")
    for run in (deploy, status, redrive, destroy):
        command = commands.add_parser(run.__name__, help=run.__doc__, description=run.__doc__)
        command.set_defaults(run=run)
        command.add_argument("--name", default="pothole", help="first part of all names (default: pothole)")
        if run is deploy:
            command.add_argument(
                "--image",
                default="full",
                help="full or serve, which is built and pushed, or the address of one in ECR (default: full)",
            )
            command.add_argument(
                "--model", type=Path, default=SHIPPED_MODEL, help="model folder (default: the shipped one)"
            )
            command.add_argument("--no-smoke", action="store_true", help="send no video at the end")
            command.add_argument("values", nargs="*", type=assignment, metavar="Parameter=value")
        if run is status:
            command.add_argument("--job", help="one video's key, job's id or processing job's name")
    return result


def assignment(text: str) -> tuple[str, str]:
    """Read `Parameter=value`."""
    name, sign, value = text.partition("=")
    if not sign or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form Parameter=value")
    return name, value


def deploy(args: argparse.Namespace) -> None:
    """Make all that is needed, or bring it up to date, and mark a first video."""
    stacks = {kind: Stack(args.name, kind) for kind in KINDS}
    values = {"Name": args.name, "Scales": "true", **given(args, stacks)}
    check_api(args, stacks)

    def apply(kind: str, **changes: str) -> None:
        with console.status(f"{stacks[kind].name} ..."):
            done = stacks[kind].apply(values | changes)
        values.update(stacks[kind].outputs())
        say(f"{stacks[kind].name} {done}")

    if stacks["work"].status() is None and has_repository(args.name):
        values["MakesRepository"] = "false"  # made by hand, or by build_and_push.sh
    model = pack_model(args.model)
    for kind in ("videos", "work"):
        apply(kind)
    values["Image"] = push_image(args.name, args.image) if args.image in BUILDS else args.image
    values["RepositoryArn"] = repository_of(values["Image"], values["RepositoryArn"])
    work = values["WorkBucket"]
    values["ModelDataUrl"] = f"s3://{work}/{upload(work, 'models/model', '.tar.gz', model)}"
    values["CodeKey"] = upload(work, "code/functions", ".zip", pack_functions())
    values["InferenceAmiVersion"] = ami_for(values, stacks["endpoints"].values())
    if changes_instances(stacks["endpoints"], values):
        # SageMaker changes no instance type of a variant whose number of instances follows the work.
        # The AMI goes with the type, and is refused with another one.
        kept = stacks["endpoints"].values()
        before = {name: kept.get(name, "") for name in ("InstanceType", "InferenceAmiVersion")}
        for changes in (before, {}):
            apply("endpoints", **{"Scales": "false", **changes})
    for kind in ("endpoints", "trigger", "operations"):
        apply(kind)
        if kind == "endpoints":
            check_release(values)
    for parameter, kind in OPTIONAL.items():
        if is_wanted(args, parameter, stacks[kind]):
            apply(kind)
        elif stacks[kind].status():
            stacks[kind].delete()
            say(f"{stacks[kind].name} gone")
    if not args.no_smoke:
        with console.status("Marking a first video ..."):
            seconds = smoke_job(values["VideosBucket"], SMOKE_PATIENCE_S)
        say(f"a first video was marked within {seconds:.0f} s of its upload")
    show_addresses(values)


def is_wanted(args: argparse.Namespace, parameter: str, stack: Stack) -> bool:
    """Say whether a stack that is there on request is to be there; it stays as it is when nothing is said."""
    said = dict(args.values).get(parameter)
    return stack.status() is not None if said is None else said == "true"


def given(args: argparse.Namespace, stacks: dict[str, Stack]) -> dict[str, str]:
    """Return the parameters of the command line.

    Raises:
        Failed: No template has one of them.
    """
    known = {name for stack in stacks.values() for name in stack.parameters()} | OPTIONAL.keys()
    for name, value in args.values:
        if name not in known:
            raise Failed(f"There is no parameter {name}. Known are {', '.join(sorted(known))}.")
        if name in OPTIONAL and value not in ("true", "false"):
            raise Failed(f"{name} is {value!r}, expected true or false.")
    return dict(args.values)


def check_api(args: argparse.Namespace, stacks: dict[str, Stack]) -> None:
    """Check before anything is made that the live API will have an endpoint to ask.

    Raises:
        Failed: There is to be an API, and no real-time endpoint.
    """
    before = stacks["endpoints"].values()
    previews = dict(args.values).get("PreviewInstances", before.get("PreviewInstances", "0"))
    if is_wanted(args, "Api", stacks["api"]) and previews == "0":
        raise Failed("Api=true needs the real-time endpoint: deploy with PreviewInstances=1 or more, too.")


def status(args: argparse.Namespace) -> None:
    """Show each stack, the endpoints and what could not be delivered; or how one job does."""
    if args.job:
        console.print(job_table(args.name, Stack(args.name, "videos").outputs()["VideosBucket"], args.job))
        return
    table = Table("", "is")
    values = {}
    for kind in KINDS:
        stack = Stack(args.name, kind)
        table.add_row(f"stack {stack.name}", stack.status() or "not there")
        values.update(stack.outputs())
    sagemaker, sqs = boto3.client("sagemaker"), boto3.client("sqs")
    for output in ("PreviewEndpoint", "VideosEndpoint"):
        if output in values:
            endpoint = sagemaker.describe_endpoint(EndpointName=values[output])
            instances = endpoint["ProductionVariants"][0].get("CurrentInstanceCount", 0)
            table.add_row(
                f"endpoint {values[output]}", f"{endpoint['EndpointStatus']}, instances: {instances}"
            )
    if "UndeliveredQueueUrl" in values:
        attributes = sqs.get_queue_attributes(
            QueueUrl=values["UndeliveredQueueUrl"], AttributeNames=["ApproximateNumberOfMessages"]
        )
        table.add_row(
            "uploads that could not be sent", attributes["Attributes"]["ApproximateNumberOfMessages"]
        )
    console.print(table)
    show_addresses(values)


def redrive(args: argparse.Namespace) -> None:
    """Send again what could not be sent or told."""
    outputs = Stack(args.name, "trigger").outputs()
    if not outputs:
        raise Failed(f"There is no stack {args.name}-trigger. `make deploy` makes it.")
    say(f"events sent again: {send_again(outputs['UndeliveredQueueUrl'], outputs['AgainQueueUrl'])}")


def destroy(args: argparse.Namespace) -> None:
    """Take everything away but the buckets of the videos and of collected samples."""
    endpoints, work = Stack(args.name, "endpoints"), Stack(args.name, "work")
    names = [
        name
        for output, name in endpoints.outputs().items()
        if output in ("PreviewEndpoint", "VideosEndpoint")
    ]
    samples = Stack(args.name, "samples").outputs().get("SamplesBucket")
    steps: list[tuple[str, Callable[[], None]]] = [
        *((f"{args.name}-{kind}", Stack(args.name, kind).delete) for kind in reversed(OPTIONAL.values())),
        (f"{args.name}-operations", Stack(args.name, "operations").delete),
        (f"{args.name}-trigger", Stack(args.name, "trigger").delete),
        ("processing jobs", lambda: stop_jobs(args.name)),
        (endpoints.name, endpoints.delete),
        ("the endpoints' logs", lambda: delete_logs(names)),
        ("the contents of the work bucket", lambda: empty(work.outputs().get("WorkBucket"))),
        (work.name, work.delete),
    ]
    for what, step in steps:
        with console.status(f"{what} ..."):
            step()
        say(f"{what}: gone")
    bucket = Stack(args.name, "videos").outputs().get("VideosBucket")
    if bucket:
        console.print(
            f"The videos are still in s3://{bucket}. When they may go, empty the bucket and delete the stack "
            f"{args.name}-videos and the bucket in the console."
        )
    if samples:
        console.print(f"The samples are still in s3://{samples}. Delete the bucket when they may go.")


def show_addresses(values: dict[str, str]) -> None:
    """Print where things are."""
    for title, output in (
        ("upload videos to", "VideosBucket"),
        ("previews, pictures", "PreviewEndpoint"),
        ("whole videos", "VideosEndpoint"),
        ("messages", "QueueUrl"),
        ("live API", "ApiUrl"),
        ("dashboard", "DashboardUrl"),
    ):
        if output in values:
            value = f"s3://{values[output]}/" if output == "VideosBucket" else values[output]
            console.print(f"{title:20}{value}")


def say(text: str) -> None:
    """Print a step that is done."""
    console.print(f"[green]✓[/] {text}")


if __name__ == "__main__":
    os.environ.setdefault("AWS_RETRY_MODE", "standard")
    sys.exit(main())
