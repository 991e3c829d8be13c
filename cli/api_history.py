"""What the API answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from cli.bucket_history import BucketHistory
from cli.history import Run
from cli.output import CommandError


class OutOfReach(CommandError):
    """The API does not answer, or its database does not."""


class ApiHistory:
    """`fallback` answers for runs while the API or its database is down."""

    def __init__(self, client: httpx.Client, fallback: BucketHistory) -> None:
        self._client = client
        self._fallback = fallback

    def runs(self, limit: int) -> Sequence[Run]:
        try:
            return list(self._pages(limit))
        except OutOfReach:
            return self._fallback.runs(limit)

    def _pages(self, limit: int) -> Sequence[Run]:
        found, before = list[Run](), None
        while len(found) < limit:
            asked = {"limit": min(200, limit - len(found))} | ({"before": before} if before else {})
            page = self._get("/runs", asked)
            found += [Run.model_validate(one) for one in page["runs"]]
            before = page["next"]
            if before is None:
                break
        return found

    def run(self, id: str) -> Run | None:
        try:
            answer = self._get(f"/runs/{id}")
        except OutOfReach:
            return self._fallback.run(id)
        except NotThere:
            return None
        report = answer.pop("report", None) or {}
        return Run.model_validate({**answer, **report})

    def retry(self, run: Run) -> str:
        return str(self._post(f"/runs/{run.run}/retry")["detail"])

    def abandon(self, id: str, reason: str) -> Run:
        return Run.model_validate(self._post(f"/runs/{id}/abandon", {"reason": reason} if reason else {}))

    def back_up(self, tables: Sequence[str]) -> dict[str, Any]:
        return self._post(f"/backup/{','.join(tables) or 'all'}")

    def restore(self, tables: Sequence[str], order: dict[str, Any]) -> dict[str, Any]:
        given = {name: str(value).lower() if isinstance(value, bool) else value for name, value in order.items()}
        return self._post(f"/restore/{','.join(tables) or 'all'}", given)

    def backups(self, table: str | None) -> Sequence[dict[str, Any]]:
        if table:
            return list(self._get(f"/backups/{table}", {"limit": 100})["backups"])
        return [one["newest"] for one in self._get("/backups") if one["newest"]]

    def metric(self, name: str, year: int) -> Sequence[dict[str, Any]]:
        return list(self._get(f"/{name}", {"year": year}))

    def _get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        return self._ask("GET", path, query)

    def _post(self, path: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return dict(self._ask("POST", path, query))

    def _ask(self, method: str, path: str, query: Mapping[str, Any] | None) -> Any:
        try:
            answer = self._client.request(method, path, params=query)
        except httpx.HTTPError as error:
            raise OutOfReach(f"the API at {self._client.base_url} does not answer: {error}") from error
        if answer.is_success:
            return answer.json()
        detail = _detail(answer)
        if answer.status_code == 503:
            raise OutOfReach(f"the API's database is not available ({detail}); `rowferry status` says more")
        if answer.status_code == 404:
            raise NotThere(detail)
        raise CommandError(detail)


class NotThere(CommandError):
    """The run, table or backup does not exist."""


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the API answered {answer.status_code}"
