"""What a release heeds that nobody else does: drivers, instance types, and roll-backs without a word."""

import re

import boto3

from stacks import Failed, Stack

# By default SageMaker gives these a driver for CUDA 11, with which TensorFlow takes the CPU without a word.
GPU_INSTANCES = re.compile(r"ml\.(g[4-9]|p[4-9])")
GPU_AMI = "al2023-ami-sagemaker-inference-gpu-4-1"


def ami_for(given: dict[str, str], before: dict[str, str]) -> str:
    """Return the AMI of the instances: of those with a GPU one whose driver is new enough for CUDA 12.

    Args:
        given: Parameters of this deployment.
        before: Those of the one before, none the first time.
    """
    if "InferenceAmiVersion" in given:
        return given["InferenceAmiVersion"]
    instance_type = given.get("InstanceType", before.get("InstanceType", ""))
    return before.get("InferenceAmiVersion") or GPU_AMI if GPU_INSTANCES.match(instance_type) else ""


def changes_instances(endpoints: Stack, values: dict[str, str]) -> bool:
    """Say whether endpoints that are there are to have instances of another type."""
    before = endpoints.values().get("InstanceType")
    return before is not None and values.get("InstanceType", before) != before


def check_release(values: dict[str, str]) -> None:
    """Check that the endpoints have their new version.

    Raises:
        Failed: SageMaker has rolled it back, which it does without a word to CloudFormation.
    """
    sagemaker = boto3.client("sagemaker")
    for kind in ("Preview", "Videos"):
        if f"{kind}Endpoint" not in values:  # there is none
            continue
        # Some give the name, some the whole ARN, which ends in it.
        name, wanted = (values[f"{kind}{what}"].rpartition("/")[2] for what in ("Endpoint", "ConfigName"))
        endpoint = sagemaker.describe_endpoint(EndpointName=name)
        if endpoint["EndpointConfigName"].rpartition("/")[2] != wanted:
            raise Failed(
                f"The endpoint {name} was rolled back to its version before: it has the configuration "
                f"{endpoint['EndpointConfigName']}, not {wanted}. See the alarms {name}-* and the log "
                f"/aws/sagemaker/Endpoints/{name}."
            )
