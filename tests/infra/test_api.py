"""The live API as deployed: the gateway's rules as the emulator has them, a real function and server."""

import os
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import requests
import yaml

import deploy
from infra.test_templates import Loader, actions, resources
from stacks import Failed, Stack
from support.deployment import IMAGE, SAME, Deployed
from support.server_requests import SIZE, picture
from support.servers import ROOT

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Api:
    """The deployed API, with its key."""

    def __init__(self, address: str, key: str) -> None:
        self.address, self.key = address, key

    def ask(self, method: str, path: str, key: str | None = None, **options: Any) -> requests.Response:
        headers = {"X-Api-Key": self.key if key is None else key} | options.pop("headers", {})
        return requests.request(method, self.address + path, headers=headers, timeout=60, **options)


@pytest.fixture(scope="module")
def api(deployed: Deployed) -> Iterator[Api]:
    made = deploy.run([*SAME, "Api=true", "ApiOrigin=https://maps.example.org", "ApiHosts=*"])
    host, _, _ = made["ApiUrl"].removeprefix("https://").partition("/")
    key = boto3.client("apigateway").get_api_key(apiKey=made["ApiKeyId"], includeValue=True)["value"]
    emulator = os.environ["AWS_ENDPOINT_URL"]
    yield Api(f"{emulator}/restapis/{host.partition('.')[0]}/live/_user_request_", key)
    deploy.run([*SAME, "Api=false"])
    assert Stack("road", "api").status() is None


def test_a_picture_is_answered_by_the_real_server(api: Api) -> None:
    sent = api.ask("POST", "/liveinference", data=picture(), headers={"Content-Type": "image/png"})
    assert sent.status_code == HTTPStatus.OK, sent.text
    assert sent.json()["image"] == {"width": SIZE[0], "height": SIZE[1]}
    assert [pothole["label"] for pothole in sent.json()["output"]] == ["pothole"]


def test_a_picture_of_the_bucket_is_shown_to_a_browser(api: Api, s3: "S3Client", deployed: Deployed) -> None:
    s3.put_object(Bucket=deployed["VideosBucket"], Key="live/a.png", Body=picture())
    shown = api.ask("GET", "/liveinference?key=live/a.png", headers={"Accept": "text/html"})
    assert "<h1>1 pothole</h1>" in shown.text
    assert "default-src 'none'" in shown.headers["Content-Security-Policy"]
    missing = api.ask("GET", "/liveinference?key=live/none.png")
    assert missing.status_code == HTTPStatus.NOT_FOUND
    assert missing.json()["error"]["code"] == "source_not_found"


def test_mistakes_are_answered_in_one_sentence(api: Api) -> None:
    no_picture = api.ask("POST", "/liveinference", data=b"x", headers={"Content-Type": "image/png"})
    assert (no_picture.status_code, no_picture.json()["error"]["code"]) == (422, "invalid_media")
    for path, said in (
        ("/liveinference", "parameter key is missing"),
        ("/image", "parameter image is missing"),
        ("/image?image=http://169.254.169.254/", "not on the public web"),
        ("/nothing", "nothing at this path"),
    ):
        answer = api.ask("GET", path)
        assert 400 <= answer.status_code < 500
        assert said in answer.json()["error"]["message"]


def test_only_the_greeting_needs_no_key(api: Api) -> None:
    assert api.ask("GET", "/", key="").text == "Ping Successfull!"
    assert api.ask("GET", "/liveinference?key=a.png", key="").status_code == HTTPStatus.FORBIDDEN
    assert api.ask("GET", "/liveinference?key=a.png", key="x" * 20).status_code == HTTPStatus.FORBIDDEN


def test_pages_of_the_chosen_origin_may_call(api: Api) -> None:
    asked = api.ask("OPTIONS", "/liveinference", key="")
    assert asked.status_code == HTTPStatus.NO_CONTENT
    assert asked.headers["Access-Control-Allow-Origin"] == "https://maps.example.org"
    assert "X-Api-Key" in asked.headers["Access-Control-Allow-Headers"]
    assert api.ask("GET", "/").headers["Access-Control-Allow-Origin"] == "https://maps.example.org"


def test_the_api_needs_an_endpoint_that_answers_at_once(deployed: Deployed) -> None:
    with pytest.raises(Failed, match="PreviewInstances=1"):
        deploy.run(["deploy", "--name", "other", "--image", IMAGE, "--no-smoke", "Api=true"])


def test_the_function_may_do_what_it_does_and_no_more() -> None:
    assert actions("AnswerRole") == {
        *("sagemaker:InvokeEndpoint", "s3:GetObject", "s3:ListBucket"),
        *("logs:CreateLogStream", "logs:PutLogEvents"),
    }


def test_every_method_but_the_greeting_and_the_question_of_browsers_needs_a_key() -> None:
    methods = {
        name: resource["Properties"]
        for name, resource in resources("api").items()
        if resource["Type"] == "AWS::ApiGateway::Method"
    }
    open_to_all = {name for name, method in methods.items() if not method.get("ApiKeyRequired")}
    assert open_to_all == {"Greeting", "MayCall"}
    # A stage shows no method that its deployment does not wait for.
    assert methods.keys() <= set(resources("api")["FirstVersion"]["DependsOn"])


def test_the_page_tells_of_the_templates_parameters() -> None:
    page = (ROOT / "docs/how-to/live-api.md").read_text()
    template = yaml.load((ROOT / "infra/api.yaml").read_text(), Loader)
    for name in template["Parameters"]:
        assert f"`{name}`" in page or not name.startswith(("Api", "Web"))
