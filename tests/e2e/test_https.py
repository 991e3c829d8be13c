"""A stack with the API on Lambda and no other: people ask over HTTP, functions judge their chunks themselves."""

import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx
import pytest

from local.deploy import BUILD, deploy, make_secret
from tests.support.stack_client import PATIENCE, World

STACK = "https"


@dataclass
class Served:
    """The deployed stack: its bucket and its API as people reach it."""

    world: World
    outputs: dict[str, str]
    resources: set[str]
    token: str

    def api(self, token: str = "") -> httpx.Client:
        """The emulator serves all HTTP APIs on its own port and tells them apart by the host's name."""
        emulator = self.world.stack.emulator
        assert emulator
        api = urlsplit(self.outputs["HttpsAddress"]).netloc.partition(".")[0]
        headers = {"Host": f"{api}.execute-api.127.0.0.1"} | ({"Authorization": f"Bearer {token}"} if token else {})
        return httpx.Client(base_url=emulator.url, headers=headers, timeout=30)


@pytest.fixture(scope="module")
def served(stack_world: World) -> Served:
    stack = stack_world.stack
    mysql, emulator = stack.mysql, stack.emulator
    assert mysql and emulator
    parameters = {
        "ApiHosting": "lambda",
        "DbHost": mysql.host,
        "DbPort": str(mysql.port),
        "DbName": mysql.database,
        "DbUser": mysql.user,
        "DbUserSecretArn": make_secret(emulator, "https-database-user", password=mysql.password),
        "DbTlsCa": str(mysql.ca),
    }
    deploy(BUILD / "build/template.yaml", emulator, parameters, stack.folder, STACK)
    options = emulator.client_options()
    cloud = boto3.client("cloudformation", **options)
    (described,) = cloud.describe_stacks(StackName=STACK)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
    made = {item["LogicalResourceId"] for item in cloud.describe_stack_resources(StackName=STACK)["StackResources"]}
    secret = boto3.client("secretsmanager", **options).get_secret_value(SecretId=outputs["OperatorTokenSecretArn"])
    return Served(stack_world, outputs, made, json.loads(secret["SecretString"])["password"])


def test_no_instance_is_made_and_no_network(served: Served) -> None:
    assert {"ApiFunction", "HttpsApi", "OperatorTokenSecret"} <= served.resources
    assert not served.resources & {"ApiGroup", "ApiLaunchTemplate", "ApiInterface", "PublicSubnet", "Vpc"}


def test_a_file_is_judged_by_the_functions_themselves_and_people_see_its_run(world: World, served: Served) -> None:
    body = "id,name\n1,Sales\n2,\n3,Legal\n"
    world.s3.put_object(Bucket=served.outputs["BucketName"], Key="raw/departments.csv", Body=body)
    with served.api(served.token) as api:
        run = ended(api)
        assert (run["status"], run["read"], run["inserted"], run["rejected"]) == ("done", 3, 2, 1), run
        assert world.rows("SELECT id, name FROM departments ORDER BY id") == [(1, "Sales"), (3, "Legal")]
        judged = api.post("/upload_csv?table=jobs", content="1,Cook\n2,\n", headers={"Content-Type": "text/csv"})
        assert (judged.status_code, judged.json()["valid"]) == (200, 1)


def test_who_has_no_token_learns_nothing_but_that_it_is_there(served: Served) -> None:
    with served.api() as api:
        assert api.get("/livez").status_code == 200
        seen = api.get("/").json()
        assert seen.pop("age_seconds") <= 5
        assert seen == {"status": "ok", "database": True, "tables": True, "missing": None}
        assert api.get("/runs").status_code == 401
        assert api.post("/upload_csv?table=jobs", content="1,a\n").status_code == 401
    with served.api("another-token-of-that-length") as api:
        assert api.get("/runs").status_code == 401


def ended(api: httpx.Client) -> dict[str, Any]:
    """The newest run, once it is over."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        runs = api.get("/runs?limit=1").json()["runs"]
        if runs and runs[0]["status"] != "running":
            return dict(api.get(f"/runs/{runs[0]['run']}").json())
        time.sleep(0.3)
    raise AssertionError("the run goes on and on")
