"""Options that say how a file is written. They become the upload's metadata."""

from collections.abc import Mapping

import typer


def metadata_of(context: typer.Context) -> Mapping[str, str]:
    return {}
