#!/usr/bin/env bash
# Builds an image from container/ and pushes it, tagged with git's commit and `latest`; with changes that are not
# committed, tagged with the commit and a digest of the changes alone, so that no two builds share a tag.
# The last line is `Pushed ` and the address, in ECR with the image's digest, which nobody can move.
#
# Usage: ./build_and_push.sh NAME
#
# NAME is the repository: in Amazon ECR, in the account and region of your AWS credentials, created there when it is
# missing; or in the registry that REGISTRY names, and then AWS is not asked at all. From the environment:
#   IMAGE              full (the default), or serve: without TensorFlow, for OpenVINO alone; tagged COMMIT-serve, latest-serve
#   CONTAINER_ENGINE   docker or podman; when unset, the first of them that answers
#   REGISTRY           host[:port][/path] of another registry, where you are logged in
#   BUILD_ARGS         more arguments of `build`, e.g. "--build-arg REQUIREMENTS=requirements-cuda.lock"
#   AWS_REGION         where your AWS configuration names no region
set -euo pipefail

fail() {
    echo "build_and_push.sh: $*" >&2
    exit 1
}

find_engine() {
    local engine
    for engine in ${CONTAINER_ENGINE:-docker podman}; do
        if command -v "$engine" > /dev/null && "$engine" info > /dev/null 2>&1; then
            echo "$engine"
            return
        fi
    done
    fail "neither of these answers: ${CONTAINER_ENGINE:-docker, podman}. Install one, or start it."
}

# Prints the repository's address in ECR, makes the repository where it is missing, and logs the engine in.
open_ecr() {
    local engine=$1 name=$2 region address answer
    command -v aws > /dev/null || fail "the AWS command line (aws) is missing; or set REGISTRY to push elsewhere."
    region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
    [[ -n $region ]] || fail "no AWS region: set AWS_REGION, or run 'aws configure'."
    answer=$(aws sts get-caller-identity --region "$region" 2>&1) \
        || fail "no valid AWS credentials: ${answer##*$'\n'} Run 'aws configure', or set REGISTRY to push elsewhere."

    if ! address=$(aws ecr describe-repositories --region "$region" --repository-names "$name" \
        --query 'repositories[0].repositoryUri' --output text 2>&1); then
        [[ $address == *RepositoryNotFoundException* ]] || fail "ECR refuses: ${address##*$'\n'}"
        address=$(aws ecr create-repository --region "$region" --repository-name "$name" \
            --image-scanning-configuration scanOnPush=true --query repository.repositoryUri --output text)
    fi
    aws ecr get-login-password --region "$region" \
        | "$engine" login --username AWS --password-stdin "${address%%/*}" >&2
    echo "$address"
}

[[ $# -eq 1 ]] || fail "expected one argument. Usage: $0 NAME"
name=$1
[[ $name =~ ^[a-z0-9]+([._/-]+[a-z0-9]+)*$ ]] || fail "'$name' is no repository name: a-z, 0-9 and . _ - / between them."
image=${IMAGE:-full}
[[ $image == full || $image == serve ]] || fail "IMAGE is '$image', which is neither full nor serve."
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

engine=$(find_engine)
if [[ -n ${REGISTRY:-} ]]; then
    address=${REGISTRY%/}/$name
else
    address=$(open_ecr "$engine" "$name")
fi

# Prints a digest of all that is not committed.
changes() {
    {
        git -C "$here" diff HEAD
        (cd "$here" && git ls-files --others --exclude-standard | git hash-object --stdin-paths)
    } | git hash-object --stdin
}

# Prints the digest of a tag in ECR. SageMaker takes images with Docker's media types alone.
digest_in_ecr() {
    local tag=$1 region=${address#*.dkr.ecr.} found media
    found=$(aws ecr describe-images --region "${region%%.*}" --repository-name "$name" --image-ids "imageTag=$tag" \
        --query 'imageDetails[0].[imageDigest,imageManifestMediaType]' --output text) || return
    read -r found media <<< "$found"
    [[ $media == application/vnd.docker.distribution.manifest.v2+json ]] \
        || fail "SageMaker takes no image of the type $media: build it with docker or podman, without attestations."
    echo "$found"
}

tags=(latest)
if commit=$(git -C "$here" describe --always --dirty --abbrev=12 --exclude='*' 2> /dev/null); then
    tags=("$commit" latest)
    if [[ $commit == *-dirty ]]; then
        changed=$(changes)
        tags=("$commit-${changed:0:12}")
    fi
else
    echo "Not a git checkout: tagged only 'latest'." >&2
fi
[[ $image == full ]] || tags=("${tags[@]/%/-$image}")

# SageMaker takes single images with Docker's media types: no attestations beside them, and none of OCI's types.
export BUILDX_NO_DEFAULT_ATTESTATIONS=1 BUILDAH_FORMAT=docker
build=("$engine" build --platform linux/amd64 --target "$image")
if [[ $engine == docker ]] && docker buildx version > /dev/null 2>&1; then
    build+=(--output type=docker)
fi
for tag in "${tags[@]}"; do
    build+=(--tag "$address:$tag")
done
# Split at blanks on purpose: BUILD_ARGS is a list of arguments.
# shellcheck disable=SC2206
build+=(${BUILD_ARGS:-})
"${build[@]}" "$here/container"

for tag in "${tags[@]}"; do
    "$engine" push "$address:$tag"
done
if [[ -n ${REGISTRY:-} ]]; then
    echo "Pushed $address:${tags[0]}"
else
    digest=$(digest_in_ecr "${tags[0]}")
    echo "Tagged $address:${tags[0]}"
    echo "Pushed $address@$digest"
fi
