"""The sets of parameters under which the template is looked at: those of samconfig.toml, and others that it allows."""

import tomllib
from collections.abc import Mapping

from local.emulator import ROOT

VPC = {
    "VpcId": "vpc-0123456789abcdef0",
    "PrivateSubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
    "PrivateRouteTableIds": "rtb-0123456789abcdef0",
    "ApiSubnetId": "subnet-0123456789abcdef2",
}
DATABASE = {
    "DbHost": "db.example.com",
    "DbAdminSecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:admin-AbCdEf",
    "DbClientSecurityGroupId": "sg-0123456789abcdef0",
}
OTHERS = {
    "existing VPC": VPC,
    "existing VPC and database": VPC | DATABASE,
    "API on Lambda": {"ApiHosting": "lambda"},
    "API on both": {"ApiHosting": "both", "Architecture": "x86_64", "PythonRuntime": "python3.12"},
    "from a snapshot": {
        "DbSnapshot": "a-snapshot",
        "BiCidr": "10.43.0.0/16",
        "AlarmEmail": "somebody@example.com",
        "Environment": "prod",
    },
    "existing API and database": DATABASE | VPC | {"ApiUrl": "http://api.example.com:8000"},
}


def parameter_sets() -> dict[str, dict[str, str]]:
    """By name; what a set leaves out keeps the template's default."""
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    configured = {name: _overrides(tables) for name, tables in config.items() if name != "version"}
    return configured | OTHERS


def _overrides(tables: Mapping[str, Mapping[str, Mapping[str, list[str]]]]) -> dict[str, str]:
    """For `sam deploy`: those of its own table and those of the global one."""
    found = (tables.get(table, {}).get("parameters", {}).get("parameter_overrides", []) for table in tables)
    return dict(line.split("=", 1) for lines in found for line in lines)
