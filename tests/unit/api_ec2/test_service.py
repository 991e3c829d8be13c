"""The systemd unit of the API's instance."""

from configparser import ConfigParser

from local.emulator import ROOT


def test_a_process_that_runs_out_of_memory_does_not_stop_the_others() -> None:
    """A backup has a second process. systemd would stop the service when the kernel kills one of its processes."""
    unit = ConfigParser(strict=False, interpolation=None)
    unit.read(ROOT / "api_ec2/instance/rowferry-api.service")
    assert unit["Service"]["MemoryMax"]
    assert unit["Service"].get("OOMPolicy") == "continue"
