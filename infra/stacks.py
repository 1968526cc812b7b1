"""CloudFormation stacks, made, updated and deleted; of a failure CloudFormation's first reason is told."""

import time
from collections.abc import Mapping
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

HERE = Path(__file__).parent
# An endpoint takes ten minutes, and an update with its baking time over an hour.
PATIENCE_S = 3 * 3600
# A creation that failed leaves these; nothing can be updated from there.
BROKEN = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}


class Failed(Exception):
    """A step could not be done. The message is for the user."""


class Stack:
    """One stack, made from the template of its kind.

    Args:
        name: The deployment's name.
        kind: A template's name in this folder, without its suffix.
    """

    def __init__(self, name: str, kind: str) -> None:
        self.name = f"{name}-{kind}"
        self._template = (HERE / f"{kind}.yaml").read_text()
        self._cloudformation = boto3.client("cloudformation")

    def parameters(self) -> dict[str, str | None]:
        """Return the template's parameters with their defaults, None where there is none."""
        summary = self._cloudformation.get_template_summary(TemplateBody=self._template)
        return {p["ParameterKey"]: p.get("DefaultValue") for p in summary["Parameters"]}

    def values(self) -> dict[str, str]:
        """Return the parameters that the stack has now, none when there is no stack."""
        stack = self._describe() or {}
        return {p["ParameterKey"]: p["ParameterValue"] for p in stack.get("Parameters", [])}

    def status(self) -> str | None:
        """Return CloudFormation's status of the stack, None when there is none."""
        stack = self._describe()
        return stack["StackStatus"] if stack else None

    def outputs(self) -> dict[str, str]:
        """Return the stack's outputs, none when there is no stack."""
        stack = self._describe() or {}
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def apply(self, values: Mapping[str, str]) -> str:
        """Make the stack, or update it to the template and these values.

        Args:
            values: Of parameters; those that the template lacks are passed over. A parameter that is not
                among them keeps its last value, and has its default the first time.

        Returns:
            `made`, `updated` or `unchanged`.

        Raises:
            Failed: CloudFormation could not; it has put back what was before.
        """
        stack = self._describe()
        if stack and stack["StackStatus"].endswith("_IN_PROGRESS"):
            self._wait()
            stack = self._describe()
        if stack and stack["StackStatus"] in BROKEN:
            self.delete()
            stack = None
        before = self.values() if stack else {}
        known = self.parameters()
        given = {name: value for name, value in (known | before | dict(values)).items() if name in known}
        request = {
            "StackName": self.name,
            "TemplateBody": self._template,
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
            # CloudFormation puts them on all that it makes, so that costs can be told apart.
            "Tags": [{"Key": "Project", "Value": "pothole"}, {"Key": "Stack", "Value": self.name}],
            "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
        }
        if stack is None:
            self._cloudformation.create_stack(**request)
            done = "made"
        else:
            try:
                self._cloudformation.update_stack(**request)
            except ClientError as exc:
                if "No updates are to be performed" in str(exc):
                    return "unchanged"
                raise
            done = "updated"
        status = self._wait()
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise Failed(f"The stack {self.name} could not be {done} ({status}): {self._first_failure()}")
        return done

    def delete(self) -> None:
        """Delete the stack and all that is in it; nothing happens when there is none.

        Raises:
            Failed: Something in it could not be deleted.
        """
        if self.status() is None:
            return
        self._cloudformation.delete_stack(StackName=self.name)
        if (status := self._wait()) is not None:
            raise Failed(f"The stack {self.name} could not be deleted ({status}): {self._first_failure()}")

    def _describe(self) -> dict | None:  # type: ignore[type-arg]
        try:
            stack = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as exc:
            if "does not exist" in str(exc):
                return None
            raise
        return None if stack["StackStatus"] == "DELETE_COMPLETE" else stack

    def _wait(self) -> str | None:
        """Wait until nothing goes on any more, and return the status."""
        deadline, pause = time.monotonic() + PATIENCE_S, 0.1
        while time.monotonic() < deadline:
            status = self.status()
            if status is None or not status.endswith("_IN_PROGRESS"):
                return status
            time.sleep(pause)
            pause = min(10.0, pause * 1.5)
        raise Failed(f"The stack {self.name} is at work for more than {PATIENCE_S / 3600:.0f} hours.")

    def _first_failure(self) -> str:
        """Return why the last change failed: what came after is mostly its consequence."""
        reason = "see its events in the console"
        for event in self._cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]:
            if "FAILED" in event["ResourceStatus"] and event.get("ResourceStatusReason"):
                reason = f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
            if event["ResourceType"] == "AWS::CloudFormation::Stack" and event["ResourceStatus"] in (
                "CREATE_IN_PROGRESS",
                "UPDATE_IN_PROGRESS",
                "DELETE_IN_PROGRESS",
            ):
                break
        return reason
